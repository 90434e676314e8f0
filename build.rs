//! Graph files and recipes travel inside the binary: a file added to these folders has to rebuild it.

fn main() {
    println!("cargo::rerun-if-changed=graphs");
    println!("cargo::rerun-if-changed=recipes");
}
