//! Finds CUDA's libraries and opens them when a GPU is asked for. Nothing of CUDA is linked: the program is built and starts
//! where there is none.

use super::{
    functions::{Blas, Driver, Nvrtc, Status},
    search::{Search, from_own_folder},
};
use libloading::Library;
use std::{
    ffi::c_int,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// Of a library or a driver: `13.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(into = "String")]
pub struct Version {
    /// Libraries of another one differ in what they call and load.
    pub major: u32,
    /// Grows with every release.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

/// The oldest driver that takes what is asked of it.
pub const OLDEST_DRIVER: Version = Version {
    major: 12,
    minor: 0,
};

/// A library that is open.
pub struct Opened<F> {
    pub functions: F,
    pub path: PathBuf,
    pub version: Version,
}

/// Why a library is not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("{library} was not found")]
    Nowhere {
        library: &'static str,
        looked_in: Vec<String>,
    },
    #[error("{} does not open: {cause}", path.display())]
    Broken { path: PathBuf, cause: String },
    #[error("{} lacks the function {function}: it is older than mimc needs, or no library of NVIDIA's", path.display())]
    Function {
        path: PathBuf,
        function: &'static str,
    },
    #[error("the driver {} is for CUDA {version}, and {OLDEST_DRIVER} is the oldest that will do: update it", path.display())]
    OldDriver { path: PathBuf, version: Version },
    #[error("{} is of version {version}, and the driver takes no more than {driver}: update the driver, or put the {library} of an older CUDA in the way", path.display())]
    TooNew {
        library: &'static str,
        path: PathBuf,
        version: Version,
        driver: Version,
    },
    /// There is no driver, so nobody looked.
    #[error("without a driver {0} is not looked for")]
    NoDriver(&'static str),
}

/// Each of the libraries, open or not.
pub struct Libraries {
    pub driver: Result<Arc<Opened<Driver>>, Missing>,
    pub nvrtc: Result<Arc<Opened<Nvrtc>>, Missing>,
    pub blas: Result<Arc<Opened<Blas>>, Missing>,
}

const DRIVER: &str = "libcuda.so.1";
const NVRTC: &str = "libnvrtc.so";
const BLAS: &str = "libcublasLt.so";

impl Libraries {
    /// Those of this machine, opened once in a process.
    pub fn here() -> &'static Libraries {
        static HERE: OnceLock<Libraries> = OnceLock::new();
        HERE.get_or_init(|| Libraries::open(&Search::here()))
    }

    /// Opens what the search finds.
    pub fn open(search: &Search) -> Libraries {
        let driver = find(search, DRIVER, &[DRIVER.into()], &|library, path| {
            let functions = Driver::of(library).map_err(lacks(path))?;
            let version = driver_version(&functions);
            match version < OLDEST_DRIVER {
                true => Err(Missing::OldDriver {
                    path: path.to_owned(),
                    version,
                }),
                false => Ok((functions, version)),
            }
        });
        let version = match &driver {
            Ok(driver) => driver.version,
            Err(_) => {
                return Libraries {
                    driver,
                    nvrtc: Err(Missing::NoDriver(NVRTC)),
                    blas: Err(Missing::NoDriver(BLAS)),
                };
            }
        };
        // A driver takes what its own CUDA and those before it make.
        let majors = (OLDEST_DRIVER.major..=version.major).rev();
        let names = |library: &str| -> Vec<String> {
            let numbered = majors.clone().map(|major| format!("{library}.{major}"));
            numbered.chain([library.to_owned()]).collect()
        };
        let suits = |library, path: &Path, own: Version| match own.major > version.major {
            true => Err(Missing::TooNew {
                library,
                path: path.to_owned(),
                version: own,
                driver: version,
            }),
            false => Ok(own),
        };
        let nvrtc = find(search, NVRTC, &names(NVRTC), &|library, path| {
            let functions = Nvrtc::of(library).map_err(lacks(path))?;
            let version = suits(NVRTC, path, nvrtc_version(&functions))?;
            Ok((functions, version))
        });
        let blas = find(search, BLAS, &names(BLAS), &|library, path| {
            let functions = Blas::of(library).map_err(lacks(path))?;
            let version = suits(BLAS, path, blas_version(&functions))?;
            Ok((functions, version))
        });
        Libraries {
            driver,
            nvrtc,
            blas,
        }
    }

    /// What is in the way of using a GPU, if anything.
    pub fn missing(&self) -> Option<&Missing> {
        let driver = self.driver.as_ref().err();
        let nvrtc = self.nvrtc.as_ref().err();
        driver.or(nvrtc).or(self.blas.as_ref().err())
    }
}

fn lacks(path: &Path) -> impl FnOnce(&'static str) -> Missing {
    move |function| Missing::Function {
        path: path.to_owned(),
        function,
    }
}

/// What makes of an open library what is called of it.
type Take<'a, F> = dyn Fn(Library, &Path) -> Result<(F, Version), Missing> + 'a;

/// The first library of one of these names, place by place, that opens and is taken. What is wrong with the first that is
/// there is told only if no other is better.
fn find<F>(
    search: &Search,
    library: &'static str,
    names: &[String],
    take: &Take<'_, F>,
) -> Result<Arc<Opened<F>>, Missing> {
    let mut wrong = None;
    for path in search.candidates(names) {
        // What it loads besides lies beside it.
        from_own_folder(&path);
        // SAFETY: NVIDIA's libraries do nothing when they are opened but set themselves up.
        let opened = unsafe { Library::new(&path) };
        let taken = match opened {
            Ok(opened) => {
                let path = search.place_of(&path);
                take(opened, &path).map(|(functions, version)| Opened {
                    functions,
                    path,
                    version,
                })
            }
            // Who looks by name alone asks the loader, whose answer is that there is none.
            Err(_) if path.is_relative() => continue,
            Err(error) => Err(Missing::Broken {
                cause: error.to_string(),
                path,
            }),
        };
        match taken {
            Ok(opened) => return Ok(Arc::new(opened)),
            Err(fault) => wrong = wrong.or(Some(fault)),
        }
    }
    Err(wrong.unwrap_or_else(|| Missing::Nowhere {
        library,
        looked_in: search.told(),
    }))
}

fn driver_version(driver: &Driver) -> Version {
    let mut number = 0;
    // SAFETY: it writes one number; where it fails, it stays 0.
    let _: Status = unsafe { (driver.cuDriverGetVersion)(&mut number) };
    Version {
        major: number.unsigned_abs() / 1000,
        minor: number.unsigned_abs() % 1000 / 10,
    }
}

fn nvrtc_version(nvrtc: &Nvrtc) -> Version {
    let (mut major, mut minor): (c_int, c_int) = (0, 0);
    // SAFETY: it writes two numbers.
    let _: Status = unsafe { (nvrtc.nvrtcVersion)(&mut major, &mut minor) };
    Version {
        major: major.unsigned_abs(),
        minor: minor.unsigned_abs(),
    }
}

fn blas_version(blas: &Blas) -> Version {
    // SAFETY: it takes nothing and returns a number: 120804 for 12.8.4.
    let number = unsafe { (blas.cublasLtGetVersion)() } as u32;
    Version {
        major: number / 10_000,
        minor: number / 100 % 100,
    }
}
