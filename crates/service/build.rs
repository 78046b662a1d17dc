//! The console's pages are built before us by `scripts/build`. Without them there is an empty folder, and no console.

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=../../console/dist");
    std::fs::create_dir_all("../../console/dist")
}
