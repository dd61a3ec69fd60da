//! The map is checked: who may use whom, which outside crate has which owner, how long a file may be.

use std::path::{Path, PathBuf};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Every source file of the library, with the name of its top module and its text before any tests.
fn files() -> Vec<(PathBuf, String, String)> {
    let (mut folders, mut files) = (vec![PathBuf::from(SRC)], Vec::new());
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).unwrap().flatten() {
            let path = item.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs")
                && !path.ends_with("conversation/tests.rs")
            {
                let inside = path.strip_prefix(SRC).unwrap();
                let first = Path::new(inside.components().next().unwrap().as_os_str());
                let module = first.file_stem().unwrap().to_str().unwrap().to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                // Tests stand at the end, in a module of their own; what stands before them counts.
                let end = text
                    .find("#[cfg(test)]\nmod tests {")
                    .or_else(|| text.find("#[cfg(test)]\npub(crate) mod tests {"));
                let text = text[..end.unwrap_or(text.len())].to_owned();
                files.push((path, module, text));
            }
        }
    }
    files
}

fn map() -> Vec<String> {
    let lib = std::fs::read_to_string(Path::new(SRC).join("lib.rs")).unwrap();
    lib.lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.trim_end_matches(';').to_owned()))
        .collect()
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let map = map();
    assert!(map.len() > 10);
    // `config` names the wire's Mode, and the wire its Secret: one known pair.
    let known = [("wechat", "config")];
    let mut wrong = Vec::new();
    for (path, module, text) in files() {
        let Some(own) = map.iter().position(|name| *name == module) else { continue };
        for (at, name) in map.iter().enumerate() {
            let used =
                text.contains(&format!("crate::{name}::")) || text.contains(&format!("crate::{name};"));
            if used && at > own && !known.contains(&(module.as_str(), name.as_str())) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_outside_crate_shows_only_at_its_owners() {
    let owners: [(&str, &[&str]); 21] = [
        ("sled", &["store"]),
        ("quick_xml", &["wechat"]),
        ("reqwest", &["wechat", "fake_wechat", "bulletin"]),
        ("hmac", &["bulletin", "answer_link"]),
        ("cbc", &["wechat"]),
        ("axum", &["web", "fake_wechat", "app"]),
        ("askama", &["web"]),
        ("hyper", &["web"]),
        ("hyper_util", &["web"]),
        ("argon2", &["staff"]),
        ("totp_rs", &["staff"]),
        ("aho_corasick", &["matching"]),
        ("pinyin", &["matching"]),
        ("fast2s", &["matching"]),
        ("rustix", &["thinker", "search"]),
        ("tantivy", &["search"]),
        ("qrcode", &["qr"]),
        ("rust_xlsxwriter", &["numbers"]),
        ("csv", &["numbers"]),
        ("tempfile", &["web"]),
        ("quick_cache", &["knowledge", "store"]),
    ];
    let mut wrong = Vec::new();
    for (path, module, text) in files() {
        for (outside, owners) in &owners {
            let named = text.contains(&format!("use {outside}::")) || text.contains(&format!(" {outside}::"));
            if named && !owners.contains(&module.as_str()) {
                wrong.push(format!("{} names {outside}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_core_is_pure_and_every_file_is_short_and_says_what_it_knows() {
    for (path, module, text) in files() {
        assert!(text.starts_with("//!"), "{} has no head", path.display());
        assert!(text.lines().count() <= 500, "{} is too long", path.display());
        if ["knowledge", "ticket", "conversation", "calendar", "mask", "numbers"].contains(&module.as_str()) {
            for banned in [".await", "Clock::system", "getrandom", "tokio"] {
                assert!(!text.contains(banned), "{} is not pure: {banned}", path.display());
            }
        }
    }
}
