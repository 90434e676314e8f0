//! Which files are images, and their order.

use std::fs;

use mimc::data::{Dataset, describe};
use tempfile::TempDir;

use super::folder;

#[test]
fn images_are_found_at_any_depth_in_one_order() {
    let root = TempDir::new().unwrap();
    for name in [
        "z.png",
        "b/2.jpg",
        "b/10.webp",
        "a/x/deep.jpeg",
        "B.PNG",
        "b.png",
    ] {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    for passed_over in ["notes.txt", "._z.png", ".cache/1.png", "b/no_extension"] {
        let path = root.path().join(passed_over);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    fs::create_dir(root.path().join("folder.png")).unwrap();
    let dataset = Dataset::open(&folder(root.path())).unwrap();
    let names: Vec<String> = (0..dataset.len()).map(|i| dataset.name(i)).collect();
    let expected = [
        "B.PNG",
        "a/x/deep.jpeg",
        "b/10.webp",
        "b/2.jpg",
        "b.png",
        "z.png",
    ];
    assert_eq!(
        names,
        expected.map(|name| root.path().join(name).display().to_string())
    );
    assert_eq!(describe(&folder(root.path())), Ok(6));
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let root = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    fs::write(elsewhere.path().join("1.png"), b"").unwrap();
    fs::write(root.path().join("2.png"), b"").unwrap();
    symlink(elsewhere.path(), root.path().join("linked")).unwrap();
    symlink(root.path(), root.path().join("circle")).unwrap();
    assert_eq!(describe(&folder(root.path())), Ok(2));
    symlink("nowhere.png", root.path().join("3.png")).unwrap();
    let error = describe(&folder(root.path())).unwrap_err();
    assert!(error.to_string().contains("3.png"), "{error}");
}
