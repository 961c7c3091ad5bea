//! How the shared object is linked.

fn main() {
    // A twentieth of the object is addresses to relocate; packed they take a few hundred bytes. Needs glibc 2.36,
    // which Debian 12 has.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,pack-relative-relocs");
    println!("cargo::rerun-if-changed=build.rs");
}
