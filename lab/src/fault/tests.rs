use super::*;
use std::path::{Path, PathBuf};

fn sources(at: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(at).expect("the file system works") {
        let path = entry.expect("the file system works").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("fault.rs") {
            found.push(path);
        }
    }
}

/// The words between quotes.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

#[test]
fn the_list_of_calls_is_the_calls_that_ask() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let texts: Vec<String> = files
        .iter()
        .filter(|f| !f.ends_with("fault/tests.rs"))
        .map(|f| std::fs::read_to_string(f).expect("the file system works"))
        .filter(|t| t.contains("fault::fails("))
        .collect();
    assert!(texts.len() > 20, "{} files ask", texts.len());
    let listed: Vec<&str> = CALLS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for name in &listed {
        assert_eq!(listed.iter().filter(|n| *n == name).count(), 1, "{name} is listed twice");
        assert!(texts.iter().any(|t| literals(t).any(|l| l == *name)), "{name} is listed, and nothing asks for it");
    }
    for text in &texts {
        for asked in text.split("fault::fails(").skip(1) {
            if let Some(name) = asked.strip_prefix('"').and_then(|a| a.split('"').next()) {
                assert!(listed.contains(&name), "{name} asks, and is not listed");
            }
        }
    }
}

#[test]
fn labs_that_share_a_log_claim_a_stack_once() {
    let path = std::env::temp_dir().join(format!("dco-lab-faults-{}", std::process::id()));
    let open = || {
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).expect("the file system works");
        (Plan::Log { file, read: 0 }, HashSet::new())
    };
    let (mut a, mut known_to_a) = open();
    let (mut b, mut known_to_b) = open();
    assert!(a.takes("One at +0x1", &mut known_to_a));
    assert!(!b.takes("One at +0x1", &mut known_to_b), "b has read what a wrote");
    assert!(b.takes("Two at +0x2", &mut known_to_b));
    assert!(!a.takes("Two at +0x2", &mut known_to_a));
    assert_eq!(std::fs::read_to_string(&path).expect("the file system works"), "One at +0x1\nTwo at +0x2\n");
    std::fs::remove_file(&path).expect("the file system works");
    let mut at = Plan::At("One at +0x1".to_owned());
    assert!(at.takes("One at +0x1", &mut HashSet::new()));
    assert!(!at.takes("Two at +0x2", &mut HashSet::new()));
}
