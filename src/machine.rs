//! What the machine has left.

use std::{fmt, fs, path::Path};

/// Memory that a program can still take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeMemory {
    /// How much can still be taken.
    pub bytes: u64,
    /// Whose limit that is.
    pub granted_by: Grant,
}

/// Who sets the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// The whole machine.
    Machine,
    /// A control group, by its path.
    Group(String),
    /// A GPU, by its name.
    Device(String),
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("this machine"),
            Self::Group(path) => write!(f, "the control group {path}"),
            Self::Device(name) => write!(f, "the {name}"),
        }
    }
}

/// The least of what the machine and the control groups of this process grant. `None` where the system does not tell.
pub fn free_memory() -> Option<FreeMemory> {
    free_memory_below(Path::new("/"))
}

/// Linux tells it in files; `root` is `/` but in tests.
fn free_memory_below(root: &Path) -> Option<FreeMemory> {
    let machine = FreeMemory {
        bytes: of_machine(&read(root, "proc/meminfo")?)?,
        granted_by: Grant::Machine,
    };
    let groups = read(root, "proc/self/cgroup").unwrap_or_default();
    let all = groups.lines().flat_map(|line| of_groups(root, line));
    all.chain([machine]).min_by_key(|free| free.bytes)
}

/// What is free, or held only to be read again, or can be swapped out.
fn of_machine(meminfo: &str) -> Option<u64> {
    let kibibytes = |key: &str| number(meminfo, &format!("{key}:"));
    let available = kibibytes("MemAvailable")?;
    Some(1024 * (available + kibibytes("SwapFree").unwrap_or(0)))
}

/// The names of a hierarchy's files.
struct Files {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: what the kernel drops before it runs out.
    droppable: &'static str,
}

const UNIFIED: Files = Files {
    mount: "sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    droppable: "inactive_file",
};
const OLD: Files = Files {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    droppable: "total_inactive_file",
};

/// What a group and all above it grant, by a line such as `0::/user.slice` or `4:memory:/jobs`. Inside a container the
/// path may be that of the world outside; then what is visible of it counts.
fn of_groups(root: &Path, line: &str) -> Vec<FreeMemory> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next(), parts.next(), parts.next());
    let files = match controllers {
        Some("") => UNIFIED,
        Some(names) if names.split(',').any(|name| name == "memory") => OLD,
        _ => return Vec::new(),
    };
    let path = path.unwrap_or_default().trim_start_matches('/');
    let groups = Path::new(path).ancestors();
    let groups = groups.filter_map(|group| {
        let folder = Path::new(files.mount).join(group);
        let value = |name: &str| read(root, folder.join(name).to_str()?);
        let limit: u64 = value(files.limit)?.trim().parse().ok()?;
        let used: u64 = value(files.used)?.trim().parse().ok()?;
        let stat = value("memory.stat").unwrap_or_default();
        let droppable = number(&stat, files.droppable).unwrap_or(0);
        Some(FreeMemory {
            bytes: limit.saturating_sub(used.saturating_sub(droppable)),
            granted_by: Grant::Group(format!("/{}", group.display())),
        })
    });
    groups.collect()
}

/// The number behind a word that begins a line.
fn number(text: &str, word: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    let mut found = lines.find_map(|mut words| (words.next()? == word).then_some(words))?;
    found.next()?.parse().ok()
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal: 8000 kB\nMemAvailable:    4000 kB\nSwapFree: 1000 kB\n";

    /// What is free on a machine with these files.
    fn free(files: &[(&str, &str)]) -> Option<FreeMemory> {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("created");
            fs::write(path, text).expect("written");
        }
        free_memory_below(root.path())
    }

    fn granted(bytes: u64, group: &str) -> Option<FreeMemory> {
        let granted_by = match group {
            "" => Grant::Machine,
            path => Grant::Group(path.into()),
        };
        Some(FreeMemory { bytes, granted_by })
    }

    #[test]
    fn a_machine_without_groups_grants_what_is_available() {
        assert_eq!(free(&[]), None);
        let meminfo = ("proc/meminfo", MEMINFO);
        assert_eq!(free(&[meminfo]), granted(5000 << 10, ""));
        let unlimited = [
            meminfo,
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/memory.current", "100\n"),
        ];
        assert_eq!(free(&unlimited), granted(5000 << 10, ""));
    }

    #[test]
    fn the_tightest_group_above_a_process_counts() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "1:cpu:/\n0::/jobs/7\n"),
            ("sys/fs/cgroup/jobs/7/memory.max", "max\n"),
            ("sys/fs/cgroup/jobs/7/memory.current", "9\n"),
            ("sys/fs/cgroup/jobs/memory.max", "1000000\n"),
            ("sys/fs/cgroup/jobs/memory.current", "600000\n"),
            (
                "sys/fs/cgroup/jobs/memory.stat",
                "anon 5\ninactive_file 100000\n",
            ),
        ];
        assert_eq!(free(&files), granted(500_000, "/jobs"));
    }

    #[test]
    fn the_old_hierarchy_is_read_as_well_and_what_is_visible_of_it() {
        let files = [
            ("proc/meminfo", MEMINFO),
            (
                "proc/self/cgroup",
                "4:cpuset,memory:/outside/of/here\n0::/\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "inactive_file 1\ntotal_inactive_file 1500\n",
            ),
        ];
        assert_eq!(free(&files), granted(500, "/"));
    }
}
