//! What this machine has for training, and what each backend would do with it. Looks and asks; takes and compiles nothing.

use crate::{
    backend::{self, BACKENDS, cpu, cuda},
    text::{
        columns::{Align, columns},
        units::bytes,
    },
};
use cuda::{
    cache::Cache,
    device::{self, Device},
    library::{Libraries, Missing, Opened, Version},
    search::Search,
};
use serde::Serialize;
use std::{fmt, fs, path::PathBuf, sync::Arc};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of mimc.
    pub mimc: &'static str,
    /// The processor.
    pub cpu: Processor,
    /// CUDA's libraries, and the GPUs that they show.
    pub cuda: Cuda,
    /// Every backend.
    pub backends: Vec<Standing>,
    /// The backend that `auto` takes.
    pub auto: &'static str,
    /// Why it does.
    pub why: String,
}

/// What the CPU backend has to work with.
#[derive(Debug, Serialize)]
pub struct Processor {
    /// Where the system tells.
    pub name: Option<String>,
    /// Of those that kernels may be made of, what it has.
    pub features: Vec<&'static str>,
    /// What the kernels are made of: `AVX-512`, `AVX2`, `portable`.
    pub kernels: &'static str,
    /// By which instructions bf16 are multiplied: `AMX`, `AVX-512 BF16`; `None`: as f32.
    pub bf16: Option<&'static str>,
    /// That would compute.
    pub threads: usize,
    /// Bytes that can still be taken.
    pub free_memory: Option<u64>,
}

/// What the CUDA backends have to work with.
#[derive(Debug, Serialize)]
pub struct Cuda {
    /// `libcuda.so.1`
    pub driver: Found,
    /// `libnvrtc.so`
    pub nvrtc: Found,
    /// `libcublasLt.so`
    pub cublaslt: Found,
    /// Where libraries were looked for, the first place first.
    pub looked_in: Vec<String>,
    /// Every GPU.
    pub devices: Vec<Device>,
    /// Why the driver shows none, where there is a driver.
    pub trouble: Option<String>,
    /// Where compiled kernels are kept.
    pub cache: Option<PathBuf>,
}

/// A library, or why it is not there.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Found {
    /// It is open.
    Here {
        /// The file.
        path: PathBuf,
        /// The library's own; the driver's is that of CUDA.
        version: Version,
    },
    /// It is not.
    Absent {
        /// Why.
        missing: String,
    },
}

/// A backend, and whether it can be used here.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// As `--backend` takes it.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// What is in the way, if anything.
    pub unusable: Option<String>,
}

/// Looks at this machine.
pub fn examine() -> Report {
    let choice = backend::auto();
    let standing = |backend: &&'static dyn backend::Backend| Standing {
        name: backend.name(),
        doc: backend.doc(),
        unusable: backend.unusable(),
    };
    Report {
        mimc: env!("CARGO_PKG_VERSION"),
        cpu: Processor::here(),
        cuda: Cuda::of(Libraries::here()),
        backends: BACKENDS.iter().map(standing).collect(),
        auto: choice.backend.name(),
        why: choice.why.clone(),
    }
}

impl Processor {
    fn here() -> Processor {
        let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let line = told.lines().find(|line| line.starts_with("model name"));
        let name = line.and_then(|line| line.split(':').nth(1));
        Processor {
            name: name.map(|name| name.trim().to_owned()),
            features: features(),
            kernels: cpu::instructions(),
            bf16: cpu::multiplies_bf16(),
            threads: rayon::current_num_threads(),
            free_memory: crate::machine::free_memory().map(|free| free.bytes),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let known = [
        ("avx", is_x86_feature_detected!("avx")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512dq", is_x86_feature_detected!("avx512dq")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
    ];
    let has = known.into_iter().filter(|(_, has)| *has);
    has.map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

impl Cuda {
    fn of(libraries: &Libraries) -> Cuda {
        let devices = libraries.driver.as_ref().ok();
        let devices = devices.map(|driver| device::devices(&driver.functions));
        let (devices, trouble) = match devices {
            None => (Vec::new(), None),
            Some(Ok(devices)) => (devices, None),
            Some(Err(trouble)) => (Vec::new(), Some(trouble)),
        };
        Cuda {
            driver: Found::of(&libraries.driver),
            nvrtc: Found::of(&libraries.nvrtc),
            cublaslt: Found::of(&libraries.blas),
            looked_in: Search::here().told(),
            devices,
            trouble,
            cache: Cache::of_user().map(|cache| cache.folder().to_owned()),
        }
    }
}

impl Found {
    fn of<F>(library: &Result<Arc<Opened<F>>, Missing>) -> Found {
        match library {
            Ok(opened) => Found::Here {
                path: opened.path.clone(),
                version: opened.version,
            },
            Err(missing) => Found::Absent {
                missing: missing.to_string(),
            },
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Here { path, version } => write!(f, "{version}, {}", path.display()),
            Found::Absent { missing } => f.write_str(missing),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<[String; 2]> = Vec::new();
        let mut row = |key: &str, told: String| rows.push([key.to_owned(), told]);
        let cpu = &self.cpu;
        row("cpu", cpu.name.clone().unwrap_or_else(|| "unnamed".into()));
        if !cpu.features.is_empty() {
            row("", cpu.features.join(" "));
        }
        let threads = match cpu.threads {
            1 => "1 thread".to_owned(),
            many => format!("{many} threads"),
        };
        let bf16 = cpu.bf16.map(|by| format!(", bf16 by {by}"));
        let bf16 = bf16.unwrap_or_default();
        row("", format!("{} kernels{bf16} on {threads}", cpu.kernels));
        if let Some(free) = cpu.free_memory {
            row("", format!("{} free", bytes(free)));
        }
        let cuda = &self.cuda;
        let of_cuda = match &cuda.driver {
            found @ Found::Here { .. } => format!("CUDA {found}"),
            absent => absent.to_string(),
        };
        row("driver", of_cuda);
        if let Found::Here { .. } = cuda.driver {
            row("nvrtc", cuda.nvrtc.to_string());
            row("cublasLt", cuda.cublaslt.to_string());
        }
        for (at, place) in cuda.looked_in.iter().enumerate() {
            row(if at == 0 { "looked in" } else { "" }, place.clone());
        }
        for device in &cuda.devices {
            row(&format!("gpu {}", device.ordinal), device.told());
        }
        if let Some(trouble) = &cuda.trouble {
            row("gpu", trouble.clone());
        }
        if let (Found::Here { .. }, Some(cache)) = (&cuda.driver, &cuda.cache) {
            row("kernels", format!("kept in {}", cache.display()));
        }
        for (at, standing) in self.backends.iter().enumerate() {
            let what = match &standing.unusable {
                Some(way) => format!("no: {way}"),
                None => standing.doc.to_owned(),
            };
            let key = if at == 0 { "backends" } else { "" };
            row(key, format!("{:<12}  {what}", standing.name));
        }
        row("auto", format!("{}: {}", self.auto, self.why));
        let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
        f.write_str(&columns(&[Align::Left; 2], &rows))
    }
}
