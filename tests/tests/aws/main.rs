//! The cloud in a box.
mod machinery;
