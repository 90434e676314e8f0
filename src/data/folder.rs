//! What a folder holds: found by extension at any depth, in one order on every machine.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{DataError, missing::missing, names::Names};

/// The file name extensions taken for images, in lower case. What a file really holds is told by its first bytes.
pub const EXTENSIONS: [&str; 10] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "tif", "tiff", "bmp",
];

/// Folders within folders, so that no tree is too deep to be walked.
const DEEPEST: usize = 256;

/// Of an archive of images.
pub const SHARD: &str = "tar";

/// Ends of the names of archives that would have to be unpacked, in lower case.
const PACKED: [&str; 8] = [
    ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".zip",
];

/// Everything below a folder, sorted by path component: the order does not depend on the file system.
///
/// Links are followed, but never into a folder they stand in. Names that begin with a dot are passed over, for they are
/// thumbnails and resource forks.
#[derive(Debug)]
pub struct Listing {
    pub images: Names,
    pub shards: Names,
    /// The first archive that would have to be unpacked.
    pub packed: Option<PathBuf>,
    /// How many other files there are of each extension.
    pub others: BTreeMap<String, usize>,
    pub closed: Vec<Closed>,
}

/// A folder that cannot be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub path: PathBuf,
    pub reason: String,
}

/// Lists a folder, its folders at the same time.
///
/// # Errors
/// The folder is missing, is a file, or cannot be listed.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let real = match fs::canonicalize(root) {
        Ok(real) if real.is_dir() => real,
        Ok(_) => {
            return Err(DataError::NotAFolder {
                path: root.to_owned(),
            });
        }
        Err(error) if is_absence(&error) => return Err(missing(root)),
        Err(error) => return Err(unlistable(root, &error)),
    };
    let above = Above {
        real: &real,
        next: None,
        depth: 0,
    };
    let mut listing = walk(root, root.as_os_str(), &above);
    if let [Closed { path, reason }] = &listing.closed[..]
        && path == root
    {
        let (path, reason) = (path.clone(), reason.clone());
        return Err(DataError::Unlistable { path, reason });
    }
    listing.images.shrink();
    Ok(listing)
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn unlistable(path: &Path, error: &io::Error) -> DataError {
    DataError::Unlistable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

/// The folders that a walk stands in, without links: to enter one of them again would never end.
struct Above<'a> {
    real: &'a Path,
    next: Option<&'a Above<'a>>,
    depth: usize,
}

impl Above<'_> {
    fn holds(&self, real: &Path) -> bool {
        self.real == real || self.next.is_some_and(|above| above.holds(real))
    }
}

/// What stands in a folder and counts.
struct Entry {
    name: OsString,
    kind: Kind,
}

/// As far as its name and the file system tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Shard,
    Folder,
    /// A link that leads to a folder.
    Link,
}

fn walk(folder: &Path, name: &OsStr, above: &Above<'_>) -> Listing {
    let mut listing = Listing {
        images: Names::below(name),
        shards: Names::below(name),
        packed: None,
        others: BTreeMap::new(),
        closed: Vec::new(),
    };
    let read = match above.depth {
        ..=DEEPEST => read(folder, &mut listing),
        _ => Err(io::Error::other(format!(
            "it lies more than {DEEPEST} folders deep"
        ))),
    };
    let entries = match read {
        Ok(entries) => entries,
        Err(error) => {
            let (path, reason) = (folder.to_owned(), error.to_string());
            listing.closed.push(Closed { path, reason });
            return listing;
        }
    };
    let folders: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind.is_folder())
        .collect();
    let inner = folders.into_par_iter().map(|Entry { name, kind }| {
        let path = folder.join(name);
        let real = match kind {
            Kind::Link => fs::canonicalize(&path).ok()?,
            _ => above.real.join(name),
        };
        let (next, depth) = (Some(above), above.depth + 1);
        let here = Above {
            real: &real,
            next,
            depth,
        };
        (!above.holds(&real)).then(|| walk(&path, name, &here))
    });
    let mut inner = inner.collect::<Vec<Option<Listing>>>().into_iter();
    for Entry { name, kind } in &entries {
        match kind {
            Kind::Image => listing.images.push(name.as_encoded_bytes()),
            Kind::Shard => listing.shards.push(name.as_encoded_bytes()),
            Kind::Folder | Kind::Link => {
                let walked = inner.next().expect("every folder was walked");
                walked.into_iter().for_each(|walked| listing.append(walked));
            }
        }
    }
    listing
}

/// The images, shards and folders that stand in a folder, sorted by name; other files are counted.
fn read(folder: &Path, listing: &mut Listing) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match Kind::of(&entry, &name)? {
            Some(kind) => entries.push(Entry { name, kind }),
            None => {
                listing.pass_over(&entry.path());
            }
        }
    }
    entries.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
    Ok(entries)
}

impl Kind {
    /// `None` for a file that is neither.
    fn of(entry: &DirEntry, name: &OsStr) -> io::Result<Option<Self>> {
        let kind = entry.file_type()?;
        let found = match kind.is_symlink() {
            true => fs::metadata(entry.path()).map(|found| found.file_type()),
            false => Ok(kind),
        };
        Ok(match found {
            Ok(found) if found.is_dir() && kind.is_symlink() => Some(Self::Link),
            Ok(found) if found.is_dir() => Some(Self::Folder),
            Ok(found) if !found.is_file() => None,
            // A link to nothing is told by its name as well: it is an image that cannot be read.
            _ => match lower_extension(Path::new(name)).as_str() {
                SHARD => Some(Self::Shard),
                extension => EXTENSIONS.contains(&extension).then_some(Self::Image),
            },
        })
    }

    fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::Link)
    }
}

/// Whether an archive has this name that would have to be unpacked.
pub fn is_packed(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    PACKED.iter().any(|ending| name.ends_with(ending))
}

impl Listing {
    fn pass_over(&mut self, file: &Path) {
        *self.others.entry(lower_extension(file)).or_default() += 1;
        if is_packed(file) && self.packed.as_deref().is_none_or(|first| file < first) {
            self.packed = Some(file.to_owned());
        }
    }

    fn append(&mut self, inner: Listing) {
        self.images.append(&inner.images);
        self.shards.append(&inner.shards);
        self.packed = self.packed.take().or(inner.packed);
        self.closed.extend(inner.closed);
        for (extension, count) in inner.others {
            *self.others.entry(extension).or_default() += count;
        }
    }
}

/// Empty where there is none, or none that tells a kind: `photo.00012`.
pub fn lower_extension(path: &Path) -> String {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let tells = extension.len() <= 8 && extension.contains(|c: char| c.is_ascii_alphabetic());
    match tells {
        true => extension.to_ascii_lowercase(),
        false => String::new(),
    }
}

/// `3 .txt, 1 without an extension`, the most frequent first.
pub fn tell_kinds(counts: &BTreeMap<String, usize>) -> String {
    let mut kinds: Vec<_> = counts.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let told: Vec<String> = kinds
        .iter()
        .take(4)
        .map(|(extension, count)| match extension.as_str() {
            "" => format!("{count} without an extension"),
            _ => format!("{count} .{extension}"),
        })
        .collect();
    let more = if kinds.len() > told.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", told.join(", "))
}
