mod acceptance;
mod examples;
mod properties;
mod synthetic;
