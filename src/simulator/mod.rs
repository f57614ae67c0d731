//! A KooDrive that verifies what it is sent: for the demo, for portal developers, and as the upstream of the tests.
//!
//! It answers the space allocation API for many tenants, each with its own credential, values and behaviour, and refuses requests
//! that the real one would refuse. How a tenant behaves can be changed at run time, here and under `/simulator/tenants`.

mod behaviour;
mod control;
pub mod demo;
mod index;
mod live_changes;
pub mod model;
mod noise;
mod respond;
mod server;
mod space;
mod tenant;
mod verify;

pub use behaviour::{Behaviour, Form, Garbage, InvalidBehaviour, SpaceTypeValue};
pub use live_changes::{CHANGE_EVERY, LiveChanges};
pub use server::Simulator;
pub use space::{Space, Total};
pub use tenant::{SeenRequest, SimulatedTenant, TenantHandle, Values};
