//! Every kernel of every recipe, compiled for GPUs by NVRTC. The compiler needs no GPU: `pip download --no-deps
//! nvidia-cuda-nvrtc-cu12` and unzip what comes; `MIMC_NVRTC` names the library or a folder it lies in.

use libloading::{Library as Shared, Symbol};
use mimc::{
    Library, Options, Recipe,
    backend::cuda::{self, Program, Target},
    compile::compile,
    plan,
};
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

type Handle = *mut c_void;

struct Nvrtc {
    library: Shared,
}

impl Nvrtc {
    /// By `MIMC_NVRTC`, or as the loader finds it.
    fn find() -> Option<Nvrtc> {
        let named = std::env::var_os("MIMC_NVRTC").map(PathBuf::from);
        let candidates: Vec<PathBuf> = match &named {
            Some(path) if path.is_dir() => walkdir::WalkDir::new(path)
                .sort_by_file_name()
                .into_iter()
                .filter_map(|entry| Some(entry.ok()?.into_path()))
                .filter(|path| is_nvrtc(path))
                .collect(),
            Some(path) => vec![path.clone()],
            None => ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]
                .map(PathBuf::from)
                .to_vec(),
        };
        // SAFETY: NVIDIA's library needs nothing of whoever loads it.
        let library = candidates
            .iter()
            .find_map(|path| unsafe { Shared::new(path) }.ok());
        if let (None, Some(path)) = (&library, named) {
            panic!(
                "MIMC_NVRTC: no libnvrtc.so can be loaded from {}",
                path.display()
            );
        }
        Some(Nvrtc { library: library? })
    }

    fn function<T>(&self, name: &str) -> Symbol<'_, T> {
        // SAFETY: the callers say the types of NVIDIA's documentation.
        unsafe { self.library.get(name.as_bytes()) }.expect("every NVRTC has these functions")
    }

    /// The bytes of a CUBIN, or the log of the compiler.
    fn compile(&self, source: &str, target: Target) -> Result<usize, String> {
        let create: Symbol<
            unsafe extern "C" fn(
                *mut Handle,
                *const c_char,
                *const c_char,
                c_int,
                Handle,
                Handle,
            ) -> c_int,
        > = self.function("nvrtcCreateProgram");
        let compile: Symbol<unsafe extern "C" fn(Handle, c_int, *const *const c_char) -> c_int> =
            self.function("nvrtcCompileProgram");
        let size: Symbol<unsafe extern "C" fn(Handle, *mut usize) -> c_int> =
            self.function("nvrtcGetCUBINSize");
        let log_size: Symbol<unsafe extern "C" fn(Handle, *mut usize) -> c_int> =
            self.function("nvrtcGetProgramLogSize");
        let log: Symbol<unsafe extern "C" fn(Handle, *mut c_char) -> c_int> =
            self.function("nvrtcGetProgramLog");
        let destroy: Symbol<unsafe extern "C" fn(*mut Handle) -> c_int> =
            self.function("nvrtcDestroyProgram");

        let source = CString::new(source).expect("sources are text");
        let options = [
            format!("--gpu-architecture=sm_{}", target.0),
            "--std=c++17".into(),
        ];
        let options = options.map(|option| CString::new(option).expect("options are text"));
        let pointers = [options[0].as_ptr(), options[1].as_ptr()];
        let mut handle = std::ptr::null_mut();
        // SAFETY: handle, sizes and buffers are as NVIDIA's documentation wants them.
        unsafe {
            let null = std::ptr::null_mut();
            assert_eq!(
                create(
                    &mut handle,
                    source.as_ptr(),
                    std::ptr::null(),
                    0,
                    null,
                    null
                ),
                0
            );
            let code = compile(handle, 2, pointers.as_ptr());
            let mut bytes = 0;
            let result = if code == 0 {
                assert_eq!(size(handle, &mut bytes), 0);
                Ok(bytes)
            } else {
                log_size(handle, &mut bytes);
                let mut text = vec![0u8; bytes.max(1)];
                log(handle, text.as_mut_ptr().cast());
                let text =
                    CStr::from_bytes_until_nul(&text).map(|t| t.to_string_lossy().into_owned());
                Err(text.unwrap_or_default())
            };
            destroy(&mut handle);
            result
        }
    }
}

fn is_nvrtc(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with("libnvrtc.so"))
}

fn emitted(recipe: &str, precision: &str) -> [(u32, Program); 2] {
    let sets = [format!("train.precision={precision}")];
    let recipe = Recipe::load(recipe, &sets).expect("a sound recipe");
    let options = Options {
        micro_batch: Some(2),
        ..Options::default()
    };
    let program = compile(&recipe, &Library::new(&[]), &options).expect("it compiles");
    let plan = plan::lower(&program.graph);
    [80, 90].map(|target| (target, cuda::emit(&plan, Target(target))))
}

/// One of all kernels that are the same but for their numbers: enough to know that what is emitted is CUDA.
#[test]
fn kernels_of_every_form_compile() {
    compiles(|source| {
        let digits = |c: char| c.is_ascii_digit();
        source
            .split(digits)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("0")
    });
}

#[test]
#[ignore = "takes minutes"]
fn every_kernel_of_every_recipe_compiles() {
    compiles(str::to_string);
}

/// Compiles one of all sources of which `form` makes the same.
fn compiles(form: impl Fn(&str) -> String) {
    let Some(nvrtc) = Nvrtc::find() else {
        return eprintln!("skipped: there is no NVRTC; MIMC_NVRTC can name one");
    };
    let recipes = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes"));
    let names = recipes.expect("there are recipes").filter_map(|entry| {
        let path = entry.ok()?.path();
        let yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml");
        yaml.then(|| {
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
        })?
    });
    let mut sources: BTreeMap<(u32, String), (String, String)> = BTreeMap::new();
    for name in names {
        for precision in ["f32", "bf16"] {
            for (target, program) in emitted(&name, precision) {
                for kernel in program.kernels {
                    // Names and what comments tell differ from program to program.
                    let body = kernel.source.replace(&kernel.name, "kernel");
                    let code = body.lines().filter(|line| !line.starts_with("//"));
                    let text = code.collect::<Vec<_>>().join("\n");
                    let what = format!("{name} in {precision}, {}", kernel.name);
                    sources.entry((target, form(&text))).or_insert((what, text));
                }
            }
        }
    }
    let sources: Vec<_> = sources.into_iter().collect();
    assert!(sources.len() > 100, "recipes have kernels");
    let (next, refused) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(((target, _), (what, text))) =
            sources.get(next.fetch_add(1, Ordering::Relaxed))
        {
            match nvrtc.compile(text, Target(*target)) {
                Ok(bytes) => assert!(bytes > 0, "{what} is no CUBIN"),
                Err(log) => {
                    let mut refused = refused.lock().expect("no thread has panicked");
                    refused.push(format!("{what} for sm_{target}: {log}\n{text}"));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let refused = refused.into_inner().expect("no thread has panicked");
    assert!(
        refused.is_empty(),
        "{} of {}: {}",
        refused.len(),
        sources.len(),
        refused[0]
    );
}
