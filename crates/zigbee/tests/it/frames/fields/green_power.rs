//! Green Power.

use super::*;

const COMMISSIONING: &str = "zbee_nwk_gp.cmd.comm.";

impl Fields {
    pub(super) fn green_power(&mut self, frame: &GreenPowerFrame) {
        self.put("zbee_nwk_gp.fcf", frame.control);
        let bits = [
            ("frame_type", 0, 3),
            ("proto_version", 2, 15),
            ("auto_commissioning", 6, 1),
            ("fc_extension", 7, 1),
        ];
        self.bits("zbee_nwk_gp.", frame.control.into(), &bits);
        if let Some(extended) = frame.extended {
            self.put("zbee_nwk_gp.fc_ext", extended);
            let bits = [
                ("app_id", 0, 7),
                ("security_level", 3, 3),
                ("security_key", 5, 1),
                ("rxaftertx", 6, 1),
                ("direction", 7, 1),
            ];
            self.bits("zbee_nwk_gp.fc_ext_", extended.into(), &bits);
        }
        self.put("zbee_nwk_gp.source_id", frame.source.unwrap());
        if let Some(counter) = frame.frame_counter {
            self.put("zbee_nwk_gp.security_frame_counter", counter);
            let mic = u32::from_le_bytes(frame.mic.clone().try_into().unwrap());
            self.put("zbee_nwk_gp.security_mic4", mic);
        }
        self.put("zbee_nwk_gp.command_id", frame.command().unwrap());
        if let Some(commissioning) = frame.commissioning().unwrap() {
            self.commissioning(frame, &commissioning);
        }
    }

    fn commissioning(&mut self, frame: &GreenPowerFrame, commissioning: &Commissioning) {
        let mut put = |name: &str, value: u64| self.put(&format!("{COMMISSIONING}{name}"), value);
        let extended = commissioning.extended.unwrap();
        let application = commissioning.application.as_ref().unwrap();
        let commands = application.commands.as_ref().unwrap();
        put("dev_id", commissioning.device.into());
        put("opt", commissioning.options.into());
        put("ext_opt", extended.into());
        put("gpd_key_mic", commissioning.key_mic.unwrap().into());
        put("out_counter", commissioning.frame_counter.unwrap().into());
        put("appli_info", application.flags.into());
        put("gpd_cmd_num", commands.len() as u64);
        let bits = [
            ("mac_seq_num_cap", 0, 1),
            ("rxon_cap", 1, 1),
            ("appli_info_present", 2, 1),
            ("panid_req", 4, 1),
            ("seq_key_req", 5, 1),
            ("fixed_location", 6, 1),
            ("ext_opt_field", 7, 1),
        ];
        self.bits(&format!("{COMMISSIONING}opt."), commissioning.options.into(), &bits);
        let bits = [
            ("seclevel_cap", 0, 3),
            ("key_type", 2, 7),
            ("gpd_key_present", 5, 1),
            ("gpd_key_encr", 6, 1),
            ("outgoing_counter", 7, 1),
        ];
        self.bits(&format!("{COMMISSIONING}ext_opt."), extended.into(), &bits);
        let bits = [("mip", 0, 1), ("mmip", 1, 1), ("gclp", 2, 1), ("crp", 3, 1)];
        self.bits(&format!("{COMMISSIONING}appli_info."), application.flags.into(), &bits);
        assert!(commissioning.key.as_ref().unwrap() == &Key::new(frame.payload[4..20].try_into().unwrap()));
        self.put("zbee_nwk_gp.cmd.comm.security_key", colons(&frame.payload[4..20]));
        for command in commands {
            self.put("zbee_nwk_gp.command_id", command);
        }
        assert_eq!(commissioning.to_bytes().unwrap(), frame.payload[1..]);
    }
}
