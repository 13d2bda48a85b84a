//! `windlass schema`: what editors check windlass.yaml by. Needs no server.
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  windlass schema > windlass.schema.json\n\nFor the YAML language \
                        server, put this into the first line of windlass.yaml:\n  # \
                        yaml-language-server: $schema=windlass.schema.json"
)]
pub(crate) struct Args {}

pub(crate) fn run(out: &Out) -> Outcome {
    let schema = serde_json::to_string_pretty(&windlass_definitions::schema())
        .map_err(|e| Failure::failed("the schema does not serialise").because(e))?;
    out.print(&format!("{schema}\n"))?;
    Ok(Exit::Done)
}
