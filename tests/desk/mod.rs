//! A folder to work in, and the program in it as a user meets it. What a kind of test wants besides is beside that test.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// An empty folder, and variables that the program gets.
pub struct Desk {
    folder: tempfile::TempDir,
    pub variables: Vec<(&'static str, OsString)>,
}

/// What the program said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Desk {
    /// CUDA's libraries are looked for in these folders; in none where it names none.
    pub fn empty(libraries: impl Into<OsString>) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            variables: vec![("MIMC_CUDA_PATH", libraries.into())],
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    pub fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Names in a folder, sorted; none where it is missing.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let files = fs::read_dir(self.path(folder)).into_iter().flatten();
        let name = |file: io::Result<fs::DirEntry>| file.expect("listed").file_name();
        let mut names: Vec<_> = files
            .map(|file| name(file).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mimc"));
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .envs(variables);
        command
    }

    pub fn mimc(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output();
        Said::from(output.expect("the program starts"))
    }

    /// What it said, if all went well.
    pub fn good(&self, arguments: &[&str]) -> Said {
        let said = self.mimc(arguments);
        assert_eq!(
            said.code,
            Some(0),
            "mimc {arguments:?}\n{}{}",
            said.out,
            said.err
        );
        said
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Said {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    path.to_str().expect("a plain path").to_owned()
}
