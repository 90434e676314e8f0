//! Where CUDA's libraries are looked for, the first place first.

use libloading::Library;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Folders of its own go before all others: `MIMC_CUDA_PATH=/opt/cuda/lib64`. Several are set apart by `:`, and none at all,
/// `MIMC_CUDA_PATH=`, is a machine without CUDA.
pub const OWN: &str = "MIMC_CUDA_PATH";

/// Places to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    places: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Wherever the system's loader looks.
    Loader,
    /// Of the variable or the path that led there.
    Folder { path: PathBuf, told: String },
}

/// Where toolkits are put.
const TOOLKIT: &str = "/usr/local/cuda/lib64";
/// Where the system keeps packages of Python.
const SYSTEM: &[&str] = &["/usr/local", "/usr"];

impl Search {
    /// By the variables of this process.
    pub fn here() -> Search {
        Search::by(&|name| env::var(name).ok())
    }

    /// In these folders alone.
    pub fn only(folders: &[PathBuf]) -> Search {
        let place = |path: &PathBuf| Place::Folder {
            told: path.display().to_string(),
            path: path.clone(),
        };
        Search {
            places: folders.iter().map(place).collect(),
        }
    }

    fn by(variable: &dyn Fn(&str) -> Option<String>) -> Search {
        let own = variable(OWN);
        if own.as_deref().is_some_and(|own| own.trim().is_empty()) {
            return Search { places: Vec::new() };
        }
        let mut places = Vec::new();
        let mut folder = |path: PathBuf, told: &str| {
            let told = format!("{told} ({})", path.display());
            places.push(Place::Folder { path, told });
        };
        for path in own.iter().flat_map(|own| own.split(':')) {
            folder(std::path::absolute(path).unwrap_or(path.into()), OWN);
        }
        places.push(Place::Loader);
        let mut folder = |path: PathBuf, told: String| places.push(Place::Folder { path, told });
        folder(TOOLKIT.into(), TOOLKIT.into());
        if let Some(home) = variable("CUDA_HOME") {
            let path = Path::new(&home).join("lib64");
            folder(path, format!("CUDA_HOME ({home})"));
        }
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            let Some(home) = variable(name) else { continue };
            let told = format!("{name} ({home})");
            folder(Path::new(&home).join("lib"), told.clone());
            for path in of_python(Path::new(&home)) {
                folder(path, told.clone());
            }
        }
        let local = variable("HOME").map(|home| format!("{home}/.local"));
        for root in SYSTEM.iter().map(|&root| root.to_owned()).chain(local) {
            for path in of_python(Path::new(&root)) {
                folder(path, format!("the Python packages of {root}"));
            }
        }
        Search { places }
    }

    /// Every path worth opening for a library of these names. A bare name leaves it to the loader.
    pub fn candidates(&self, names: &[String]) -> Vec<PathBuf> {
        let in_place = |place: &Place| -> Vec<PathBuf> {
            match place {
                Place::Loader => names.iter().map(PathBuf::from).collect(),
                Place::Folder { path, .. } => {
                    let paths = names.iter().map(|name| path.join(name));
                    paths.filter(|path| path.exists()).collect()
                }
            }
        };
        self.places.iter().flat_map(in_place).collect()
    }

    /// The places, for a person.
    pub fn told(&self) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        for place in &self.places {
            let name = match place {
                Place::Loader => "the loader's path",
                Place::Folder { told, .. } => told,
            };
            if told.last().is_none_or(|last| last != name) {
                told.push(name.to_owned());
            }
        }
        if told.is_empty() {
            told.push(format!("any place, for {OWN} names none"));
        }
        told
    }

    /// The file behind a library that was opened by `path`.
    pub fn place_of(&self, path: &Path) -> PathBuf {
        match path.is_absolute() {
            true => path.to_owned(),
            false => mapped(path).unwrap_or_else(|| path.to_owned()),
        }
    }
}

/// `lib/python3.12/site-packages/nvidia/*/lib` below a root: where pip puts what PyTorch brings along.
fn of_python(root: &Path) -> Vec<PathBuf> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let of_version = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("python3")
    };
    let pythons = inside(&root.join("lib")).into_iter().filter(of_version);
    let packages = pythons.flat_map(|python| {
        ["site-packages", "dist-packages"].map(|packages| python.join(packages).join("nvidia"))
    });
    packages
        .flat_map(|nvidia| inside(&nvidia))
        .map(|package| package.join("lib"))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// The file that an open library is mapped from, by the process's own list: its name may have other numbers behind it.
fn mapped(name: &Path) -> Option<PathBuf> {
    let name = name.to_str()?;
    let stem = name.split(".so").next()?;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|line| {
        let path = &line[line.find('/')?..];
        let file = Path::new(path).file_name()?.to_str()?;
        file.starts_with(&format!("{stem}.so")).then_some(path)
    });
    paths.map(PathBuf::from).next()
}

/// Opens what NVRTC loads by a bare name, from the folder that NVRTC is in, and leaves it open: then the name is found.
pub fn from_own_folder(path: &Path) {
    let Some(folder) = path.parent().filter(|_| path.is_absolute()) else {
        return;
    };
    let of_nvrtc = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libnvrtc")
    };
    if !of_nvrtc(path) {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("libnvrtc-builtins.so.") {
            // SAFETY: it holds tables and does nothing when it is opened. Where it does not open, NVRTC says so itself.
            if let Ok(builtins) = unsafe { Library::new(entry.path()) } {
                std::mem::forget(builtins);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_in_their_order_and_none_may_be_named() {
        let home = tempfile::tempdir().expect("a folder");
        let nvidia = home.path().join("lib/python3.12/site-packages/nvidia");
        for package in ["cuda_nvrtc", "cublas"] {
            fs::create_dir_all(nvidia.join(package).join("lib")).expect("created");
        }
        let root = home.path().to_str().expect("a plain path").to_owned();
        let search = Search::by(&|name| match name {
            OWN => Some("/first:/second".into()),
            "VIRTUAL_ENV" => Some(root.clone()),
            _ => None,
        });
        let told = search.told();
        let wanted = [
            "MIMC_CUDA_PATH (/first)",
            "MIMC_CUDA_PATH (/second)",
            "the loader's path",
            "/usr/local/cuda/lib64",
            &format!("VIRTUAL_ENV ({root})"),
        ];
        assert_eq!(told[..5], wanted);

        let file = nvidia.join("cublas/lib/libcublasLt.so.12");
        fs::write(&file, "").expect("written");
        let names = ["libcublasLt.so.13", "libcublasLt.so.12"].map(String::from);
        let candidates = search.candidates(&names);
        assert_eq!(candidates[..2], names.clone().map(PathBuf::from));
        assert!(candidates.contains(&file), "{candidates:?}");

        let nowhere = Search::by(&|name| (name == OWN).then(String::new));
        assert_eq!(nowhere.candidates(&names), Vec::<PathBuf>::new());
        assert_eq!(nowhere.told(), ["any place, for MIMC_CUDA_PATH names none"]);
    }
}
