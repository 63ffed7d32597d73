//! Lets the program find the librdkafka that it was linked with, which is nowhere installed.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBRDKAFKA_DIRECTORY");
    if let Ok(directory) = std::env::var("LIBRDKAFKA_DIRECTORY") {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{directory}");
    }
}
