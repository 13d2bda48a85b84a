//! `windlass task`: one shell command in a stack's environment, with its state and its secrets.
use super::run::follow;
use super::wait::Wait;
use super::{Context, url};
use crate::exit::Outcome;
use api::v1::{Asked, TaskRequest};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  windlass task network -- terraform state list\n  windlass \
                        task network --wait -- 'terraform import terraform_data.x id'\n\nSeveral \
                        words are quoted for the shell; one word is the shell's as it is.")]
pub(crate) struct Args {
    /// The stack's slug
    stack: String,
    #[command(flatten)]
    wait: Wait,
    /// What to run, behind --
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let path = format!("/stacks/{}/task", url::part(&args.stack));
    let request = TaskRequest { command: shell_line(&args.command) };
    let asked: Asked = context.client.post(&path, &request)?;
    follow(context, &asked, &args.wait)
}

/// The words as they would have to be typed. One alone may be a whole line of shell.
fn shell_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        #[rustfmt::skip]
        let table: [(&[&str], &str); 5] = [
            (&["terraform", "state", "list"],   "terraform state list"),
            (&["terraform state list | wc -l"], "terraform state list | wc -l"),
            (&["echo", "a b", "$HOME"],         "echo 'a b' '$HOME'"),
            (&["echo", "it's"],                 r"echo 'it'\''s'"),
            (&["echo", ""],                     "echo ''"),
        ];
        for (words, expect) in table {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(shell_line(&words), expect);
        }
    }
}
