//! An image archive as `docker save` writes it: `manifest.json`, a configuration, a layer. Nothing is downloaded.

use crate::docker::busybox_root;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The image's name: it has busybox and by default sleeps, as `pause` does.
pub(crate) const NAME: &str = "localhost/busybox:latest";
const FOLDER: &str = "/run/busybox-image";
const ARCHIVE: &str = "/run/busybox-image.tar";

/// The archive's path; made on first use.
pub(crate) fn archive() -> Result<&'static str, String> {
    if Path::new(ARCHIVE).exists() {
        return Ok(ARCHIVE);
    }
    let failed = |e: std::io::Error| format!("{FOLDER}: {e}");
    let layer = busybox_root()?;
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder).map_err(failed)?;
    fs::copy(layer, folder.join("layer.tar")).map_err(failed)?;
    let sum = output(Command::new("sha256sum").arg(layer))?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Cmd": ["/bin/sleep", "100000"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{sum}")] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    fs::write(folder.join("config.json"), config.to_string()).map_err(failed)?;
    fs::write(folder.join("manifest.json"), manifest.to_string()).map_err(failed)?;
    output(Command::new("tar").args(["-C", FOLDER, "-cf", ARCHIVE, "manifest.json", "config.json", "layer.tar"]))?;
    Ok(ARCHIVE)
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let said = if output.status.success() { &output.stdout } else { &output.stderr };
    let said = String::from_utf8_lossy(said).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{command:?}: {said}")) }
}
