mod any;
mod cm;
mod congestion;
mod errors;
mod loss;
mod perfect;
mod pipe;
