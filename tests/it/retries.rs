//! Every method of the tables × everything that can go wrong with its coordinator: how often which
//! coordinator gets the call, and what the client sees. What is right is written down here by hand, not taken
//! from the tables.

mod expected;
mod statements;
mod table;
