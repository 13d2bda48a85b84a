//! The fleet: the real autoscaler and the real drainer beside the emulator's Auto Scaling groups.
mod full;
mod guest;
