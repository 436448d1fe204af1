//! The binary.

fn main() -> anyhow::Result<()> {
    weighbridge::cli::crds::run()
}
