//! Opening the console in a browser, without the one-time code in anybody's list of processes.
//!
//! Whoever may list processes reads their arguments, and would be in before the browser is. So the
//! browser gets the path of a page that only its user can read, and the page leads on.
use crate::remote::cache_folder;
use crate::up::folder::replace;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// False: nobody could be asked to open it; the person follows the link that is printed.
pub(crate) fn open(link: &str) -> bool {
    let env = |name: &str| std::env::var(name).ok();
    cache_folder(env).is_some_and(|folder| open_with(OPENER, &folder, link).is_ok())
}

/// One page, written anew each time: what an older one leads to has ended, or was used.
fn open_with(opener: &str, folder: &Path, link: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let page = folder.join("login.html");
    replace(&page, page_to(link).as_bytes())?;
    let mut command = Command::new(opener);
    command.arg(&page).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().map(drop)
}

fn page_to(link: &str) -> String {
    let link: String = link
        .chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            other => other.to_string(),
        })
        .collect();
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={link}\">\n<title>Windlass</title>\n\
         <p><a href=\"{link}\">To the console</a></p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    #[test]
    fn the_code_is_in_no_argument_and_in_no_file_of_others() {
        let temp = tempfile::tempdir().unwrap();
        let (opener, said) = (temp.path().join("opener"), temp.path().join("said"));
        let script = format!("#!/bin/sh\necho \"$@\" >{0}.part; mv {0}.part {0}\n", said.display());
        std::fs::write(&opener, script).unwrap();
        std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
        let folder = temp.path().join("cache/windlass");
        let link = "http://127.0.0.1:8420/login?a=\"b\"&code=0123456789abcdef";
        open_with(opener.to_str().unwrap(), &folder, link).unwrap();
        let since = Instant::now();
        while !said.exists() {
            assert!(since.elapsed() < Duration::from_secs(30), "nobody was asked to open it");
            std::thread::sleep(Duration::from_millis(5));
        }
        let page = folder.join("login.html");
        assert_eq!(std::fs::read_to_string(said).unwrap().trim(), page.display().to_string());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&page), mode(&folder)), (0o600, 0o700));
        let text = std::fs::read_to_string(page).unwrap();
        let led = "url=http://127.0.0.1:8420/login?a=&quot;b&quot;&amp;code=0123456789abcdef\"";
        assert!(text.contains(led), "{text}");
    }
}
