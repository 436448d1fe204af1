//! Tests of the catalogue and of its file.

use std::collections::BTreeSet;

use super::*;

fn file() -> File {
    toml::from_str(include_str!("../../data/accelerators.toml")).unwrap()
}

fn name(spelling: &str) -> Option<&'static str> {
    Catalogue::builtin().find(spelling).map(|a| a.name.as_str())
}

fn usable(spelling: &str) -> f64 {
    Catalogue::builtin().find(spelling).unwrap().usable().as_gib()
}

#[test]
fn the_compiled_in_files_are_valid() {
    assert_eq!(Catalogue::builtin().failure(), None);
    assert!(Catalogue::builtin().all().len() >= 114);
}

#[test]
fn a_broken_file_is_an_error_and_the_catalogue_is_empty() {
    let error = Catalogue::parse("[[accelerator]]\nkey = 3", "").unwrap_err();
    assert_eq!(error.file, "data/accelerators.toml");
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(Catalogue::default().find("H100").is_none());
}

#[test]
fn every_name_finds_its_own_row_and_no_other() {
    for entry in file().accelerator {
        for spelling in [&entry.key, &entry.name].into_iter().chain(&entry.aliases) {
            for variant in [
                spelling.clone(),
                spelling.to_lowercase(),
                spelling.replace('-', "_"),
                spelling.replace('-', " "),
            ] {
                let found = Catalogue::builtin().find(&variant).map(|a| a.key.as_str());
                assert_eq!(found, Some(entry.key.as_str()), "{variant}");
            }
        }
    }
}

#[test]
fn every_label_finds_its_own_row_and_no_other() {
    for entry in file().accelerator {
        for label in &entry.labels {
            let value = label.split_once('=').map_or(label.as_str(), |_| label);
            let found = Catalogue::builtin().find(value).map(|a| a.key.as_str());
            assert_eq!(found, Some(entry.key.as_str()), "{label}");
            let shared = Catalogue::builtin().find(&format!("{label}-SHARED")).map(|a| a.key.as_str());
            assert_eq!(shared, found, "{label}");
        }
    }
}

#[test]
fn every_instance_type_finds_its_own_row_and_no_other() {
    for entry in file().accelerator {
        for instance in &entry.instances {
            let size = instance.replace('*', "48xlarge");
            let found = Catalogue::builtin().of_instance_type(&size).map(|a| a.key.as_str());
            assert_eq!(found, Some(entry.key.as_str()), "{instance}");
        }
    }
    assert!(Catalogue::builtin().of_instance_type("p50.xlarge").is_none());
}

#[test]
fn no_name_is_given_twice() {
    let (mut names, mut labels, mut keys) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for entry in file().accelerator {
        assert!(keys.insert(entry.key.clone()), "{}", entry.key);
        for label in &entry.labels {
            assert_eq!(labels.insert(label.to_lowercase(), entry.key.clone()), None, "{label}");
        }
        // The key, the name and one alias of an entry may have the same normal form. A second such alias is useless.
        let mut own: Vec<String> = [&entry.key, &entry.name].map(|n| normal(n)).to_vec();
        own.dedup();
        for alias in &entry.aliases {
            assert!(!own.contains(&normal(alias)), "{alias} is redundant");
            own.push(normal(alias));
        }
        for form in own {
            assert_eq!(names.insert(form.clone(), entry.key.clone()), None, "{form} of {}", entry.key);
        }
    }
}

#[test]
fn figures_are_plausible() {
    for a in Catalogue::builtin().all() {
        let kept = a.reserve.as_f64() / a.memory.as_f64();
        assert!(a.usable() < a.memory && (0.001..0.12).contains(&kept), "{}: {kept}", a.name);
        for (precision, rate) in &a.peak {
            assert!(rate.0 > 1_000_000_000_000, "{} {precision}", a.name);
            assert!(a.computes(*precision), "{} {precision}", a.name);
        }
        let narrower = [(Precision::FP32, Precision::FP16), (Precision::BF16, Precision::FP8)];
        for (wide, narrow) in narrower {
            if let (Some(wide), Some(narrow)) = (a.peak(wide), a.peak(narrow)) {
                assert!(narrow >= wide, "{}", a.name);
            }
        }
    }
}

#[test]
fn the_worked_names_offer_what_processes_see() {
    assert!((79.1..79.2).contains(&usable("A800-80GB")));
    assert!((79.1..79.3).contains(&usable("H100")));
    assert!((60.9..61.3).contains(&usable("Ascend-910B3")));
    assert!((191.6..192.0).contains(&usable("MI300X")));
    assert_eq!(format!("{}", Catalogue::builtin().find("A800-80GB").unwrap().usable()), "79.1 GiB");
}

#[test]
fn spellings_that_people_write_are_found() {
    for (spelling, expected) in [
        ("A100-80GB", "A100-80GB"),
        ("a100-sxm4-80gb", "A100-80GB"),
        ("nvidia a100 80g", "A100-80GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA-A800-SXM4-80GB", "A800-80GB"),
        ("A800", "A800-80GB"),
        ("NVIDIA A100 80GB PCIe", "A100-PCIe-80GB"),
        ("a100_pcie_40gb", "A100-PCIe-40GB"),
        ("h100", "H100-80GB"),
        ("H100-SXM5", "H100-80GB"),
        ("nvidia-h100-80gb", "H100-80GB"),
        ("H100 NVL", "H100-NVL"),
        ("NVIDIA H100 80GB HBM3", "H100-80GB"),
        ("H20", "H20-96GB"),
        ("H200", "H200-141GB"),
        ("GH200", "GH200-96GB"),
        ("b200", "B200"),
        ("910B3", "Ascend-910B3"),
        ("Ascend 910B", "Ascend-910B3"),
        ("ascend910b3", "Ascend-910B3"),
        ("MI300X", "MI300X"),
        ("RTX 4090", "RTX-4090"),
        ("4090", "RTX-4090"),
        ("GeForce RTX 3090", "RTX-3090"),
        ("Tesla V100-SXM2-16GB", "V100-16GB"),
        ("v5p", "TPU-v5p"),
        ("Gaudi 2", "Gaudi2"),
        ("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", "A100-80GB"),
        ("L20", "L20"),
        ("NVIDIA A2", "A2"),
        ("Tesla P40", "P40"),
        ("P100", "P100-16GB"),
        ("Tesla P100-PCIE-12GB", "P100-PCIe-12GB"),
        ("A5000", "RTX-A5000"),
        ("NVIDIA RTX 5000 Ada Generation", "RTX-5000-Ada"),
        ("Quadro RTX 8000", "Quadro-RTX-8000"),
        ("GeForce RTX 2080 Ti", "RTX-2080-Ti"),
        ("RTX 4090 D", "RTX-4090-D"),
        ("RTX-PRO-6000-MaxQ", "RTX-PRO-6000-Max-Q"),
        ("DGX Spark", "GB10"),
    ] {
        assert_eq!(name(spelling), Some(expected), "{spelling}");
    }
}

#[test]
fn an_ambiguous_name_means_the_largest_and_lists_its_variants() {
    let variants = |spelling: &str| -> Vec<&str> {
        Catalogue::builtin().variants(spelling).iter().map(|a| a.name.as_str()).collect()
    };
    assert_eq!(name("A100"), Some("A100-80GB"));
    assert_eq!(variants("A100"), ["A100-80GB", "A100-40GB"]);
    assert_eq!(variants("nvidia-a100"), ["A100-80GB", "A100-40GB"]);
    assert_eq!(variants("V100"), ["V100-32GB", "V100-16GB"]);
    assert_eq!(variants("A100-PCIe"), ["A100-PCIe-80GB", "A100-PCIe-40GB"]);
    assert_eq!(variants("910B"), ["Ascend-910B3", "Ascend-910B4"]);
    assert_eq!(variants("NVIDIA-GeForce-RTX-3080"), ["RTX-3080-12GB", "RTX-3080-10GB"]);
    assert!(variants("H100").len() < 2, "a bare H100 is the one with 80 GB");
    assert!(variants("A100-80GB").is_empty());
    assert!(variants("nvidia-tesla-a100").is_empty(), "to GKE that is the one with 40 GB");
    for a in Catalogue::builtin().all() {
        let Some(chip) = &a.chip else { continue };
        let taken = Catalogue::builtin().find(chip).map(|a| &a.key);
        assert_eq!(Catalogue::builtin().variants(chip).first().map(|a| &a.key), taken, "{chip}");
    }
}

#[test]
fn unlisted_names_are_not_guessed() {
    for spelling in
        ["", " ", "gpu", "nvidia", "A", "A1", "Z900-80GB", "80GB", "A100-12GB", "H1000", "Ascend910", "v4"]
    {
        assert_eq!(name(spelling), None, "{spelling:?}");
    }
}

#[test]
fn an_unknown_name_has_similar_names() {
    let nearest = |spelling: &str| Catalogue::builtin().nearest(spelling);
    assert!(nearest("A10O-80GB").contains(&"A100-80GB"), "{:?}", nearest("A10O-80GB"));
    assert!(nearest("H100-85GB").contains(&"H100-80GB"), "{:?}", nearest("H100-85GB"));
    assert!(nearest("MI300").len() <= 3);
    assert!(nearest("banana").is_empty(), "{:?}", nearest("banana"));
    assert!(nearest(&"x".repeat(100_000)).is_empty());
}

#[test]
fn prices_have_a_date() {
    let price = Catalogue::builtin().price("h100-sxm5-80gb").unwrap();
    assert_eq!((price.per_gpu_hour.to_string().as_str(), price.as_of.as_str()), ("6.88", "2026-07-20"));
    assert_eq!(Catalogue::builtin().price("a800-sxm4-80gb"), None);
}

#[test]
fn devices_before_ampere_have_no_bf16() {
    let bf16 = |spelling: &str| Catalogue::builtin().find(spelling).unwrap().computes_in_bf16();
    assert!(
        !bf16("V100") && !bf16("T4") && !bf16("Quadro-RTX-8000") && !bf16("P100") && !bf16("Ascend-910A")
    );
    assert!(bf16("A100") && bf16("MI250X") && bf16("Ascend-910B3") && bf16("TPU-v5e"));
    assert!(Catalogue::builtin().find("H100").unwrap().computes_in_fp8());
    assert!(!Catalogue::builtin().find("A100").unwrap().computes_in_fp8());
}
