mod any;
mod errors;
mod loss;
mod perfect;
mod pipe;
