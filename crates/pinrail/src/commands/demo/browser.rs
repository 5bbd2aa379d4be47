//! Opens the dashboard where there is a screen to open it on.

use std::process::{Command, Stdio};

use crate::config;

/// Asks the desktop to show an address. Whether it does, nobody knows; the address is printed in any case.
pub fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let has_screen =
        cfg!(target_os = "macos") || config::is_set("DISPLAY") || config::is_set("WAYLAND_DISPLAY");
    if !has_screen {
        return;
    }
    let asked = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // Without such a program the address is to be opened by hand.
    if let Ok(mut child) = asked {
        std::thread::spawn(move || child.wait());
    }
}
