//! Rules by which an offer takes or declines an order. The operator decides by them, and the customer's CLI asks them before a
//! deposit is paid: one piece of code, so that the two agree.

pub mod environment;
pub mod image;
pub mod quantity;
mod reference;
