//! What is in the way of using a GPU, or comes in the way of a run, is told in a sentence, and nothing that was saved is lost.

use super::{
    desk::Desk,
    emulator::{emulator, library},
};
use mimc::{
    backend::cuda::{CudaStep, library::Libraries, search::Search},
    plan::Plan,
};
use std::fs;

const RUN: &[&str] = &["run", "tiny.yaml", "--backend", "cuda", "--output", "out"];

fn run(steps: &'static str) -> Vec<&'static str> {
    [RUN, &["--steps", steps]].concat()
}

#[test]
fn auto_takes_the_gpu_and_without_one_the_bits_of_the_cpu() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let said = desk.good(&["bench", "tiny.yaml", "--batch", "2", "--steps", "1"]);
    said.says(
        0,
        &["backend cuda: here is an Emulated GPU, compute capability 9.0, 8.00 GiB"],
    );
    assert!(said.out.contains("batch 2, cuda,"), "{}", said.out);

    let desk = desk.without_cuda();
    let auto = desk.good(&["run", "tiny.yaml", "--steps", "2", "--output", "auto"]);
    auto.says(
        0,
        &["backend cpu: no GPU can be used here: libcuda.so.1 was not found"],
    );
    let given = [
        "run",
        "tiny.yaml",
        "--steps",
        "2",
        "--output",
        "cpu",
        "--backend",
        "cpu",
    ];
    let given = desk.good(&given);
    assert!(!given.err.contains("backend"), "{}", given.err);
    assert!(desk.checkpoint("auto", 2) == desk.checkpoint("cpu", 2));
}

#[test]
fn what_is_in_the_way_is_told() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    for (variables, told) in [
        (
            [("EMULATOR_DEVICES", "0")],
            "the driver does not start: no CUDA-capable device is detected (CUDA_ERROR_NO_DEVICE)",
        ),
        (
            [("EMULATOR_DRIVER", "11040")],
            "is for CUDA 11.4, and 12.0 is the oldest that will do: update it",
        ),
        (
            [("EMULATOR_NVRTC", "14")],
            "is of version 14.0, and the driver takes no more than 13.0",
        ),
        (
            [("EMULATOR_CAPABILITY", "75")],
            "the Emulated GPU has compute capability 7.5, and 8.0 is the lowest that will do",
        ),
        (
            [("EMULATOR_CAPABILITY", "120")],
            "makes no kernels for sm_120: put a newer one in the way",
        ),
    ] {
        let said = desk.mimc_with(&variables, &run("1"));
        said.says(
            1,
            &[
                "error[backend]: no GPU can be used here: ",
                told,
                "mimc doctor",
            ],
        );
    }
    let said = Desk::new(emulator).without_cuda().mimc(&run("1"));
    said.says(
        1,
        &[
            "no GPU can be used here: libcuda.so.1 was not found",
            "--backend cpu",
        ],
    );
}

#[test]
fn libraries_that_are_broken_or_lack_something_are_named() {
    let Some(emulator) = emulator() else { return };
    let (desk, folder) = Desk::new(emulator).own_libraries(emulator);
    // Another library of the name, further down the way, would be taken: none of this one, then.
    fs::write(folder.join("libcublasLt.so.13"), "no library").expect("written");
    let said = desk.mimc(&["doctor"]);
    assert_eq!(said.code, Some(0));
    assert!(
        said.out.contains("libcublasLt.so.13 does not open: "),
        "{}",
        said.out
    );

    let (desk, folder) = Desk::new(emulator).own_libraries(emulator);
    let lacking = ["-DcuGraphLaunch=hidden", "-Wl,-soname,libcuda.so.1"];
    library(&folder, "driver.cpp", "libcuda.so.1", &lacking);
    let said = desk.mimc(&run("1"));
    said.says(1, &["libcuda.so.1 lacks the function cuGraphLaunch"]);
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let Some(emulator) = emulator() else { return };
    for (file, library) in [
        ("libcuda.so.1", "libcuda.so.1"),
        ("libnvrtc.so.13", "libnvrtc.so"),
        ("libcublasLt.so.13", "libcublasLt.so"),
    ] {
        let (_desk, folder) = Desk::new(emulator).own_libraries(emulator);
        fs::remove_file(folder.join(file)).expect("it was there");
        // In this process: the program would look in other places, and might find NVIDIA's.
        let libraries = Libraries::open(&Search::only(&[folder]));
        let step = CudaStep::on(&libraries, None, Plan::default());
        let error = step.err().expect("it cannot do without");
        let told = format!("no GPU can be used here: {library} was not found");
        assert_eq!(error.to_string(), told);
        assert!(
            error
                .help()
                .is_some_and(|help| help.contains("mimc doctor"))
        );
    }
}

#[test]
fn doctor_tells_what_was_found() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let folder = emulator.folder.display();
    tells(
        &desk.good(&["doctor"]).out,
        &[
            &format!("driver CUDA 13.0, {folder}/libcuda.so.1"),
            &format!("nvrtc 13.0, {folder}/libnvrtc.so.13"),
            &format!("cublasLt 13.0, {folder}/libcublasLt.so.13"),
            &format!("looked in MIMC_CUDA_PATH ({folder})"),
            "gpu 0 Emulated GPU, compute capability 9.0, 8.00 GiB",
        ],
    );
    let json = desk.good(&["doctor", "--json"]).json();
    assert_eq!(json["auto"], "cuda");
    assert_eq!(json["cuda"]["devices"][0]["capability"], 90);
    assert_eq!(json["cuda"]["nvrtc"]["version"], "13.0");

    tells(
        &desk.without_cuda().good(&["doctor"]).out,
        &[
            "driver libcuda.so.1 was not found looked in any place, for MIMC_CUDA_PATH names none",
            "cuda no: libcuda.so.1 was not found",
        ],
    );
}

/// That every one of `said` stands in `text`, wherever its lines are folded: that depends on how long a folder's name is.
fn tells(text: &str, said: &[&str]) {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words_said in said {
        assert!(words.contains(words_said), "no `{words_said}` in\n{text}");
    }
}

#[test]
fn memory_that_is_short_is_told_before_the_first_step_with_what_would_fit() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    // Room for both programs and some of these images, besides what products and the driver take.
    let memory = [("EMULATOR_MEMORY", "136300000")];
    let sets = ["data.count=64", "train.batch=64", "train.precision=f32"];
    let batch = sets.map(|set| ["--set", set]).concat();
    let whole = [&batch[..], &["--set", "train.micro_batch=64"]].concat();
    let said = desk.mimc_with(&memory, &[&run("1")[..], &whole].concat());
    said.says(
        1,
        &[
            "error[memory]: the program needs ",
            " on the Emulated GPU, which has ",
            "--set train.micro_batch=",
        ],
    );
    assert_eq!(desk.list("out/checkpoints"), [""; 0]);
    let fitting = said
        .err
        .split("train.micro_batch=")
        .nth(1)
        .expect("told above");
    let fitting = fitting.split_whitespace().next().expect("a number");
    let fitting = format!("train.micro_batch={fitting}");
    let less = [&batch[..], &["--set", &fitting]].concat();
    desk.mimc_with(&memory, &[&run("1")[..], &less].concat())
        .says(0, &[]);
}

#[test]
fn kernels_are_compiled_once_and_a_damaged_one_anew() {
    let Some(emulator) = emulator() else { return };
    let (desk, cache) = Desk::new(emulator).own_cache();
    let folder = cache.join("mimc/kernels");
    desk.mimc(&run("1")).says(0, &[]);
    let entries = || -> Vec<_> {
        let mut entries: Vec<_> = fs::read_dir(&folder)
            .expect("the cache")
            .map(|entry| entry.expect("listed").path())
            .collect();
        entries.sort();
        entries
    };
    let kept = entries();
    assert!(!kept.is_empty());
    let whole: Vec<_> = kept
        .iter()
        .map(|path| fs::read(path).expect("read"))
        .collect();
    let changed = |path| fs::metadata(path).expect("there").modified().expect("told");
    let before: Vec<_> = kept.iter().map(changed).collect();

    desk.mimc(&run("2")).says(0, &[]);
    assert_eq!(entries(), kept);
    assert_eq!(
        kept.iter().map(changed).collect::<Vec<_>>(),
        before,
        "none was compiled again"
    );

    // One has a bit turned, the next is cut.
    let mut turned = whole[0].clone();
    *turned.last_mut().expect("not empty") ^= 1;
    fs::write(&kept[0], &turned).expect("written");
    fs::write(&kept[1], &whole[1][..whole[1].len() / 2]).expect("written");
    desk.mimc(&run("3")).says(0, &[]);
    for at in [0, 1] {
        let now = fs::read(&kept[at]).expect("read");
        assert!(
            now.len() == whole[at].len() && now != turned,
            "compiled anew"
        );
    }
    assert_eq!(changed(&kept[2]), before[2], "and no other");
}

#[test]
fn a_kernel_that_does_not_compile_is_shown() {
    let Some(emulator) = emulator() else { return };
    let (desk, _) = Desk::new(emulator).own_cache();
    let said = desk.mimc_with(&[("EMULATOR_MISREAD", "float")], &run("1"));
    said.says(
        1,
        &[
            "error[backend]: the kernel `",
            "` does not compile: ",
            " error: ",
            " | ",
            "this is a fault of mimc",
        ],
    );
}

#[test]
fn a_device_that_is_lost_leaves_the_checkpoint_from_which_the_run_goes_on() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let whole = [
        "run",
        "tiny.yaml",
        "--backend",
        "cuda",
        "--output",
        "whole",
        "--steps",
        "6",
    ];
    desk.mimc(&whole).says(0, &[]);

    // Somewhere in the middle: how many kernels a run has is no business of this test.
    let lost = (1..).map(|n| n * 400).find_map(|kernels: u32| {
        let _ = fs::remove_dir_all(desk.path("out"));
        let lost = [("EMULATOR_LOST_AFTER", kernels.to_string())];
        let lost = lost.each_ref().map(|(name, value)| (*name, value.as_str()));
        let said = desk.mimc_with(&lost, &run("6"));
        assert_eq!(said.code, Some(1), "{}", said.err);
        (!desk.list("out/checkpoints").is_empty()).then_some(said)
    });
    let lost = lost.expect("behind enough kernels there is a checkpoint");
    lost.says(
        1,
        &[
            "error[backend]: the Emulated GPU was lost while it computed: unspecified launch failure (CUDA_ERROR_LAUNCH_FAILED)",
            "--resume goes on from the last checkpoint",
        ],
    );
    desk.mimc(&[&run("6")[..], &["--resume"]].concat())
        .says(0, &["resumed behind step"]);
    assert!(desk.checkpoint("out", 6) == desk.checkpoint("whole", 6));
}
