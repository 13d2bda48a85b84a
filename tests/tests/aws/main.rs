//! The cloud in a box: the stories that every place shares, told of functions on S3 and SQS, and what
//! only they have.
mod chaos;
mod clocks;
mod faults;
mod letters;
mod machinery;
#[path = "../stories/mod.rs"]
mod stories;
mod tour;

fn world(tool: &str) -> e2e::World {
    e2e::World::cloud(tool)
}
