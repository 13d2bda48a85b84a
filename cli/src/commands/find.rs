//! A run as a person names it: its id, or a beginning or end of it that means one run only.
use super::url;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use api::v1::RunDetail;

const ID_CHARS: usize = 26;
/// The server looks for no shorter part.
const CHARS_MIN: usize = 4;

/// The whole id, which the server finds. One that is complete is not looked up.
pub(crate) fn run(client: &Client, name: &str) -> Result<String, Failure> {
    let wanted = name.trim().to_ascii_uppercase();
    if wanted.len() >= ID_CHARS {
        return Ok(wanted);
    }
    let unknown = |why: String| Failure::new(Exit::NotFound, why);
    if wanted.len() < CHARS_MIN {
        let why = format!("`{name}` names no run: take at least {CHARS_MIN} characters of its id");
        return Err(unknown(why));
    }
    let found = client.get::<RunDetail>(&format!("/runs/{}", url::part(&wanted)));
    match found {
        Ok(detail) => Ok(detail.run.id),
        Err(failure) if failure.exit == Exit::NotFound => {
            Err(unknown(format!("{failure}; `windlass run list` shows them")))
        }
        Err(failure) => Err(failure),
    }
}
