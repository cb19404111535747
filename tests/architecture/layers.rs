//! Who may import whom.

use std::collections::BTreeSet;

use crate::lexer::Kind;
use crate::tree::{File, METADATA, PathRef, Tree, Violation};

/// Layers of `actors`: a module uses only modules of a lower one. Those of layer 0 are plain values and may use each
/// other; elsewhere a module of the same layer shows only its `contract`.
const LAYERS: &[&[&str]] = &[
    &["ids", "clock", "message", "secret", "failpoint"],
    &["config", "store"],
    &["auth_profiles", "pairing", "hooks", "skills", "memory", "sandbox", "routing"],
    &["providers", "tools", "channels"],
    &["agents", "delivery"],
    &["sessions"],
    &["cron", "heartbeat"],
    &["gateway"],
    &["testing"],
];

/// What a module of the root package may use: modules beside it, and packages of the workspace.
const ROWS: &[(&str, &[&str], &[&str])] = &[
    ("protocol", &[], &[]),
    ("client", &["protocol"], &[]),
    ("occtl", &["client", "protocol"], &[]),
    ("control", &["protocol"], &["actors", "supervision"]),
    ("daemon", &["control"], &["actors", "supervision"]),
    ("main", &["daemon"], &[]),
    ("bin", &["occtl"], &[]),
];

/// Packages of the workspace and ours that each may depend on.
const PACKAGES: &[(&str, &[&str])] =
    &[("supervision", &[]), ("actors", &["supervision"]), ("openclawd", &["actors", "supervision"])];

/// Outside crates a package may not depend on.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "supervision",
        &[
            "serde",
            "serde_json",
            "rmp-serde",
            "reqwest",
            "axum",
            "hyper",
            "clap",
            "sled",
            "teloxide",
            "rusqlite",
            "redb",
        ],
    ),
    ("actors", &["axum", "hyper", "clap", "tokio-tungstenite", "ractor"]),
    ("openclawd", &["ractor", "sled", "teloxide"]),
];

/// All that the wire types may name besides themselves.
const WIRE_CRATES: &[&str] = &["std", "core", "alloc", "serde", "serde_json"];

/// Outside crates and the folders that name each.
const CONFINED: &[(&str, &[&str])] =
    &[("sled", &["actors/src/store"]), ("ractor", &["supervision/src", "supervision/tests/runtime_facts/"])];

/// The one place beside its home that names a confined crate: to measure ourselves against it.
const CONTENDERS: &str = "benches/supervision/contenders/";

/// Folders whose modules are vendors and never meet.
const VENDOR_FOLDERS: &[&str] = &["channels", "providers"];

/// Vendors. Words with another meaning in code (`signal`, `matrix`) are left out.
const VENDORS: &[&str] = &[
    "telegram",
    "teloxide",
    "discord",
    "serenity",
    "slack",
    "whatsapp",
    "msteams",
    "googlechat",
    "mattermost",
    "anthropic",
    "openai",
    "ollama",
    "gemini",
    "openrouter",
];

/// Places that may name vendors besides their own folders: configuration keys and the tables that register them.
const VENDOR_TABLES: &[&str] = &[
    "actors/src/config/",
    "actors/src/channels/registry.rs",
    "actors/src/providers/registry.rs",
    "actors/src/gateway/wiring.rs",
];

pub(crate) fn crate_edges(tree: &Tree) -> Vec<Violation> {
    let Some(metadata) = tree.files.get(METADATA) else { return Vec::new() };
    let parsed: serde_json::Value = serde_json::from_str(&metadata.text).unwrap();
    let mut found = Vec::new();
    for package in parsed["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some((_, allowed)) = PACKAGES.iter().find(|(known, _)| *known == name) else {
            found.push(metadata.violation(0, format!("package {name} has no row in the table")));
            continue;
        };
        let refused = REFUSED.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, refused)| refused);
        for dependency in package["dependencies"].as_array().unwrap() {
            let (on, kind) = (dependency["name"].as_str().unwrap(), dependency["kind"].as_str());
            let ours = PACKAGES.iter().any(|(known, _)| *known == on);
            if ours && !allowed.contains(&on) && kind != Some("dev") {
                found.push(metadata.violation(0, format!("package {name} depends on {on}")));
            }
            if refused.contains(&on) && kind != Some("dev") {
                found.push(metadata.violation(0, format!("package {name} depends on {on}")));
            }
        }
    }
    found
}

pub(crate) fn actors_layers(tree: &Tree) -> Vec<Violation> {
    let layer_of = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut found = Vec::new();
    for file in tree.sources().filter(|file| file.path.starts_with("actors/src/")) {
        let (_, module) = file.module();
        let Some(own) = module.first().copied() else { continue };
        let Some(own_layer) = layer_of(own) else {
            found.push(file.violation(1, format!("module {own} has no layer")));
            continue;
        };
        for path in local_paths(file) {
            let used = path.segments[0].as_str();
            if used == own || is_type_or_macro(used) {
                continue;
            }
            let allowed = match layer_of(used) {
                Some(layer) if layer < own_layer => true,
                Some(layer) if layer == own_layer => {
                    layer == 0 || path.segments.get(1).is_some_and(|segment| segment == "contract")
                }
                Some(_) => false,
                None => false,
            };
            if !allowed {
                found.push(file.violation(path.line, format!("{own} (layer {own_layer}) uses {used}")));
            }
        }
    }
    found
}

pub(crate) fn source_edges(tree: &Tree) -> Vec<Violation> {
    let outside = outside_crates(tree);
    let mut found = Vec::new();
    for file in tree.sources().filter(|file| file.path.starts_with("src/")) {
        let (_, module) = file.module();
        let Some(own) = module.first().copied() else { continue };
        let Some((_, modules, packages)) = ROWS.iter().find(|(known, ..)| *known == own) else {
            found.push(file.violation(1, format!("module {own} has no row in the table")));
            continue;
        };
        for path in local_paths(file) {
            let used = path.segments[0].as_str();
            if used != own && !is_type_or_macro(used) && !modules.contains(&used) {
                found.push(file.violation(path.line, format!("{own} uses {used}")));
            }
        }
        for path in file.paths().into_iter().filter(|path| !path.local) {
            let used = path.segments[0].as_str();
            let ours = PACKAGES.iter().any(|(known, _)| *known == used);
            if ours && !packages.contains(&used) {
                found.push(file.violation(path.line, format!("{own} uses the package {used}")));
            } else if own == "protocol" && outside.contains(used) && !WIRE_CRATES.contains(&used) {
                found.push(file.violation(path.line, format!("wire types use {used}")));
            }
        }
    }
    found
}

pub(crate) fn siblings(tree: &Tree) -> Vec<Violation> {
    let vendor_module = |module: &str| VENDORS.iter().find(|vendor| module.starts_with(**vendor)).copied();
    let mut found = Vec::new();
    for file in tree.sources().filter(|file| file.path.starts_with("actors/src/")) {
        let (_, module) = file.module();
        let [folder, own, ..] = module.as_slice() else { continue };
        let Some(own_vendor) = vendor_module(own).filter(|_| VENDOR_FOLDERS.contains(folder)) else { continue };
        for path in local_paths(file) {
            let [used_folder, used, ..] = path.segments.as_slice() else { continue };
            if VENDOR_FOLDERS.contains(&used_folder.as_str()) && vendor_module(used).is_some_and(|it| it != own_vendor)
            {
                found.push(file.violation(path.line, format!("{own} imports its sibling {used}")));
            }
        }
    }
    found
}

pub(crate) fn vendor_names(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.sources() {
        if VENDOR_TABLES.iter().any(|table| file.path.starts_with(table)) {
            continue;
        }
        let (_, module) = file.module();
        let declares = matches!(module.as_slice(), [folder] if VENDOR_FOLDERS.contains(folder));
        for (at, token) in file.code.iter().enumerate() {
            if !matches!(token.kind, Kind::Ident | Kind::Text) {
                continue;
            }
            let text = token.text.to_lowercase();
            let Some(vendor) = VENDORS.iter().find(|vendor| text.contains(**vendor)) else { continue };
            let own_folder = module.iter().any(|segment| segment.starts_with(vendor));
            let declaration = declares && at > 0 && file.code[at - 1].is("mod");
            let crate_of_own = *vendor == "teloxide" && module.contains(&"telegram");
            if !own_folder && !declaration && !crate_of_own {
                found.push(file.violation(token.line, format!("names the vendor {vendor}")));
            }
        }
    }
    found
}

pub(crate) fn confined_crates(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust() {
        for (name, homes) in CONFINED {
            let elsewhere = [CONTENDERS, "tests/architecture/"];
            if homes.iter().chain(&elsewhere).any(|place| file.path.starts_with(place)) {
                continue;
            }
            for path in file.paths().iter().filter(|path| !path.local && path.segments[0] == *name) {
                found.push(file.violation(path.line, format!("names {name} outside {}", homes[0])));
            }
        }
    }
    found
}

/// Paths into other modules of the same package.
fn local_paths(file: &File) -> Vec<PathRef> {
    file.paths().into_iter().filter(|path| path.local && !path.segments.is_empty()).collect()
}

/// A name at a package's root that is no module: a type, a constant, a glob.
fn is_type_or_macro(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_lowercase())
}

/// Every outside crate that a manifest names, as code spells it, plus the standard ones.
fn outside_crates(tree: &Tree) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = ["std", "core", "alloc"].map(str::to_owned).into();
    for manifest in tree.with_extension("toml") {
        let mut listing = false;
        for line in manifest.text.lines() {
            if line.starts_with('[') {
                listing = line.ends_with("dependencies]");
            } else if let Some((key, _)) = line.split_once('=').filter(|_| listing) {
                known.insert(key.trim().trim_end_matches(".workspace").replace('-', "_"));
            }
        }
    }
    known
}
