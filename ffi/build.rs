//! Finds libdpdk by pkg-config, makes the bindings, compiles the shims. Nothing of that without
//! the feature `link`.

fn main() {
    println!("cargo::rerun-if-changed=shim.h");
    println!("cargo::rerun-if-changed=shim.c");
    #[cfg(feature = "link")]
    link::bind();
}

#[cfg(feature = "link")]
mod link {
    use std::env;
    use std::path::PathBuf;

    /// The oldest release whose interfaces are those used here.
    const OLDEST: &str = "22.11";

    /// What bindings are made of, besides the shims and what all of these refer to.
    const ALLOWED: &[&str] = &[
        "rte_(dev_probe|dev_remove|eal_cleanup|strerror|version)",
        "rte_thread_(register|unregister)",
        "rte_mempool_(avail_count|free)",
        "rte_pktmbuf_pool_create",
        "rte_eth_dev_(adjust_nb_rx_tx_desc|close|configure|count_avail|get_port_by_name|info_get)",
        "rte_eth_dev_(rss_hash_conf_get|set_mtu|get_mtu|socket_id|start|stop)",
        "rte_eth_(macaddr_get|promiscuous_enable|stats_get|stats_reset|tx_done_cleanup)",
        "rte_eth_(rx|tx)_queue_setup",
        "rte_eth_rx_mq_mode",
    ];

    pub(super) fn bind() {
        let library = match pkg_config::Config::new().atleast_version(OLDEST).probe("libdpdk") {
            Ok(library) => library,
            Err(error) => return refuse(&error),
        };
        let mut flags: Vec<String> =
            library.include_paths.iter().map(|path| format!("-I{}", path.display())).collect();
        // What pkg-config says besides folders: the configuration of the build, included before
        // everything, and the instruction set that the headers take for granted.
        flags.extend(other_flags());
        bindings(&flags);
        let mut shims = cc::Build::new();
        shims.file("shim.c").warnings(true).extra_warnings(false).opt_level(3);
        flags.iter().for_each(|flag| {
            shims.flag(flag);
        });
        shims.compile("dpdk_shims");
    }

    /// Makes the build fail, which errors do by being printed, and says what is missing.
    fn refuse(error: &pkg_config::Error) {
        println!(
            "cargo::error=the feature `dpdk` needs libdpdk {OLDEST} or later, which pkg-config \
             does not find (apt-get install libdpdk-dev libclang-dev pkg-config); to do without \
             it, build without the feature"
        );
        let error = error.to_string();
        let reason = error.lines().map(str::trim).find(|line| !line.is_empty());
        println!("cargo::error=pkg-config: {}", reason.unwrap_or("no reason given"));
    }

    /// `-include rte_config.h` and `-m...` of `pkg-config --cflags`.
    fn other_flags() -> Vec<String> {
        let output =
            std::process::Command::new(env::var("PKG_CONFIG").as_deref().unwrap_or("pkg-config"))
                .args(["--cflags", "libdpdk"])
                .output()
                .expect("pkg-config ran before");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text.split_whitespace();
        let mut flags = Vec::new();
        while let Some(word) = words.next() {
            if word == "-include" {
                flags.extend([word.to_owned(), words.next().unwrap_or_default().to_owned()]);
            } else if word.starts_with("-m") {
                flags.push(word.to_owned());
            }
        }
        flags
    }

    fn bindings(flags: &[String]) {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        let allowed = format!("({})", ALLOWED.join("|"));
        bindgen::Builder::default()
            .header("shim.h")
            .clang_args(flags)
            .allowlist_function(format!("{allowed}|dpdk_.*"))
            .allowlist_type(format!("{allowed}|dpdk_.*"))
            .allowlist_var("DPDK_.*")
            // Packets are touched by the shims alone: their layout differs between releases.
            .opaque_type("rte_mbuf|rte_mempool")
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .layout_tests(false)
            .generate_comments(false)
            .generate()
            .unwrap_or_else(|error| panic!("bindgen: {error}"))
            .write_to_file(out.join("bindings.rs"))
            .expect("OUT_DIR can be written to");
    }
}
