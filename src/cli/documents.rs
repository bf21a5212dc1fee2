//! Completions and manual page, both made from the declaration of the command line.

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;

/// The completion script of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "crossdock", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of the program; it lists the commands.
pub fn manual_page() -> Result<String> {
    let mut page = Vec::new();
    let mut command = Arguments::command();
    command.build();
    clap_mangen::Man::new(command).render(&mut page).context("cannot render the manual page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_and_manual_page_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(completions(shell).contains("check-config"), "{shell}");
        }
        let page = manual_page().unwrap();
        assert!(page.starts_with(".ie") && page.contains("check\\-config"), "{page}");
    }
}
