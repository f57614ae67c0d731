//! History as files, by HTTP: what stands in them, who gets them, and what happens when they cannot be finished.

mod access;
mod auditing;
mod breaking;
mod forms;
mod parameters;
mod sameness;
mod versions;
