//! Which files are images, and their order.

use std::fs;

use mimc::data::{DataError, Dataset, describe};
use tempfile::TempDir;

use super::{folder, png_of};

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
    symlink("itself", root.path().join("itself")).unwrap();
    assert_eq!(describe(&folder(root.path())), Ok(2));
    // A circle by way of elsewhere, which neither of the two links closes alone.
    symlink(root.path(), elsewhere.path().join("back")).unwrap();
    assert_eq!(describe(&folder(root.path())), Ok(2));
    // A file by another name is another image; a link to nothing is one that cannot be read.
    symlink("2.png", root.path().join("again.png")).unwrap();
    symlink("nowhere.png", root.path().join("3.png")).unwrap();
    symlink("nowhere", root.path().join("nothing")).unwrap();
    let dataset = Dataset::open(&folder(root.path())).unwrap();
    assert_eq!(dataset.len(), 4);
    let error = dataset.center(1).unwrap_err().to_string();
    assert!(error.contains("3.png: No such file"), "{error}");
}

#[cfg(unix)]
#[test]
fn any_name_is_read_and_told_on_one_line() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let root = TempDir::new().unwrap();
    let names: [&[u8]; 5] = [
        b"a b.png",
        b"caf\xe9.png",
        b"it's \"1\".png",
        b"two\nlines.png",
        b"\xe2\x9c\x93.png",
    ];
    for name in names {
        let path = root.path().join(OsStr::from_bytes(name));
        fs::write(&path, png_of(3)).unwrap();
    }
    let folder_name = OsStr::from_bytes(b"\xff\n");
    fs::create_dir(root.path().join(folder_name)).unwrap();
    fs::write(root.path().join(folder_name).join("z.png"), png_of(3)).unwrap();
    let dataset = Dataset::open(&folder(root.path())).unwrap();
    let below = format!("{}/", root.path().display());
    let told: Vec<_> = (0..dataset.len())
        .map(|image| dataset.name(image).strip_prefix(&below).unwrap().to_owned())
        .collect();
    let expected = [
        "a b.png",
        "caf\\xe9.png",
        "it's \"1\".png",
        "two\\nlines.png",
        "✓.png",
        "\\xff\\n/z.png",
    ];
    assert_eq!(told, expected);
    let first = dataset.center(0).unwrap();
    assert!((1..6).all(|image| dataset.center(image).as_ref() == Ok(&first)));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_passed_over() {
    use std::os::unix::net::UnixListener;
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("1.png"), b"").unwrap();
    // To open one would block or fail.
    let _socket = UnixListener::bind(root.path().join("2.png")).unwrap();
    assert_eq!(describe(&folder(root.path())), Ok(1));
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_looked_into_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let root = TempDir::new().unwrap();
    let closed = root.path().join("a/closed");
    fs::create_dir_all(&closed).unwrap();
    fs::write(root.path().join("1.png"), b"").unwrap();
    let open = |mode| fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    open(0o000);
    let described = describe(&folder(root.path()));
    let may_look = fs::read_dir(&closed).is_ok();
    open(0o755);
    match described {
        Err(DataError::Unlistable { path, .. }) => assert_eq!(path, closed),
        // Whoever may do everything is stopped by no permission.
        other => assert!(may_look && other == Ok(1), "{other:?}"),
    }
}

#[test]
fn the_order_is_that_of_the_names_and_not_of_the_disk() {
    let names = [
        "b/1.png",
        "a/2.png",
        "a.png",
        "a/b/1.png",
        "a-1.png",
        "a/c.png",
        "B/9.png",
    ];
    let listed = |order: &mut dyn Iterator<Item = &&str>| {
        let root = TempDir::new().unwrap();
        for name in order {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let dataset = Dataset::open(&folder(root.path())).unwrap();
        let below = format!("{}/", root.path().display());
        let name = |image| dataset.name(image).strip_prefix(&below).unwrap().to_owned();
        (0..dataset.len()).map(name).collect::<Vec<_>>()
    };
    let expected = [
        "B/9.png",
        "a/2.png",
        "a/b/1.png",
        "a/c.png",
        "a-1.png",
        "a.png",
        "b/1.png",
    ];
    assert_eq!(listed(&mut names.iter()), expected);
    assert_eq!(listed(&mut names.iter().rev()), expected);
}

#[test]
fn a_bottomless_folder_is_named() {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("a/".repeat(256))).unwrap();
    fs::write(root.path().join("a/".repeat(256)).join("1.png"), b"").unwrap();
    assert_eq!(describe(&folder(root.path())), Ok(1));
    fs::create_dir_all(root.path().join("a/".repeat(1500))).unwrap();
    let error = describe(&folder(root.path())).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it lies more than 256 folders deep"),
        "{error}"
    );
}
