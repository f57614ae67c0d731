//! Routes, limits, health, the IDE.

pub mod graphiql;
