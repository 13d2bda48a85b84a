//! Waits against machine hours, as a picture.
