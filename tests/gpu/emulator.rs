//! The driver and the libraries of `tests/cuda/emulator`, built by the C++ compiler of this machine, where it has one.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Libraries that pose as NVIDIA's.
pub struct Emulator {
    /// Holds `libcuda.so.1`, `libnvrtc.so.13`, `libcublasLt.so.13` and `libcublas.so.13`.
    pub folder: PathBuf,
    /// Where what runs on it keeps its kernels: compiling them takes the time of the test.
    pub cache: PathBuf,
}

/// `None`, and a line that says so, where there is no C++ compiler.
pub fn emulator() -> Option<&'static Emulator> {
    static BUILT: OnceLock<Option<Emulator>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let compiler = Command::new("g++").arg("--version").output();
        compiler.is_ok_and(|said| said.status.success()).then(build)
    });
    if built.is_none() {
        eprintln!("skipped: there is no g++ to build the emulated driver with");
    }
    built.as_ref()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda/emulator")
}

fn build() -> Emulator {
    let sources = sources();
    let files = [
        "driver.cpp",
        "driver.h",
        "nvrtc.cpp",
        "cublaslt.cpp",
        "cublas.cpp",
        "kernel.h",
    ];
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(sources.join(file))
            .expect("a source")
            .hash(&mut hasher);
    }
    let of_sources = format!("emulator-{:016x}", hasher.finish());
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(of_sources);
    let folder = home.join("lib");
    if !folder.exists() {
        fs::create_dir_all(&home).expect("a folder");
        let partly = tempfile::tempdir_in(&home).expect("a folder");
        let at = partly.path();
        library(
            at,
            "driver.cpp",
            "libcuda.so.1",
            &["-Wl,-soname,libcuda.so.1"],
        );
        let header = format!("-DKERNEL_H=\"{}\"", sources.join("kernel.h").display());
        library(at, "nvrtc.cpp", "libnvrtc.so.13", &[&header]);
        let driver = at.join("libcuda.so.1");
        let driver = driver.to_str().expect("a plain path");
        let of_driver = [driver, "-Wl,-rpath,$ORIGIN"];
        library(at, "cublaslt.cpp", "libcublasLt.so.13", &of_driver);
        library(at, "cublas.cpp", "libcublas.so.13", &of_driver);
        // Another process may have been faster; its libraries are the same.
        let _ = fs::rename(partly.keep(), &folder);
    }
    Emulator {
        cache: home.join("cache"),
        folder,
    }
}

/// Compiles one library; `more` are options behind the source.
pub fn library(folder: &Path, source: &str, name: &str, more: &[&str]) {
    let mut compiler = Command::new("g++");
    compiler
        .args(["-std=c++17", "-O3", "-Wall", "-Werror", "-fPIC", "-shared"])
        .arg(sources().join(source))
        .args(more)
        .arg("-o")
        .arg(folder.join(name));
    let said = compiler.output().expect("the compiler starts");
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{source}: {told}");
}
