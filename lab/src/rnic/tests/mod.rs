mod any;
mod cm;
mod errors;
mod loss;
mod perfect;
mod pipe;
