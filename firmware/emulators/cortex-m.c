// A QEMU plugin that counts a Cortex-M's cycles between two marks: -plugin emulate-cortex-m.so,core=m4 (or m0)
//
// QEMU counts instructions, not cycles, so each instruction gets its cost from the core's manual: memory without wait
// states, the multiplier of one cycle. X25519 comes out within 3 % of what is published for silicon, on both cores.
// `mov r10, r10` begins to count, `mov r11, r11` prints how many cycles there were.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// From qemu-plugin.h, version 1; Debian has no package with it.
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { REFILL = 2, START = 0x46d2, STOP = 0x46db };

static int m0;

struct cost {
    unsigned cycles;
    unsigned taken;  // more of them when the branch is taken
    int load;        // on an M4 loads behind each other take one cycle less
};

static unsigned registers(unsigned list) { return __builtin_popcount(list); }

static struct cost transfer(int load, int after_load) {
    if (m0) return (struct cost){2, 0, 0};
    return (struct cost){load && !after_load ? 2 : 1, 0, 1};
}

static struct cost narrow(uint16_t op, int after_load) {
    unsigned top4 = op >> 12, top5 = op >> 11, top7 = op >> 9;
    if (top4 == 0xd && ((op >> 8) & 15) < 14) return (struct cost){1, REFILL, 0};     // b<condition>
    if (top5 == 0x1c || (op & 0xff00) == 0x4700) return (struct cost){1, REFILL, 0};  // b, bx, blx
    if ((op & 0xfd87) == 0x4487) return (struct cost){1, REFILL, 0};                  // add, mov to pc
    if ((op & 0xf500) == 0xb100) return (struct cost){1, REFILL, 0};                  // cbz, cbnz
    if (top7 == 0x5a) return (struct cost){1 + registers(op & 0x1ff), 0, 0};          // push
    if (top7 == 0x5e) return (struct cost){1 + registers(op & 0x1ff), op & 0x100 ? (m0 ? 3 : REFILL) : 0, 0};  // pop
    if (top4 == 0xc) return (struct cost){1 + registers(op & 0xff), 0, 0};            // ldm, stm
    if (top5 == 9) return transfer(1, after_load);                                    // ldr from pc
    if (top4 == 5) return transfer(((op >> 9) & 7) >= 3, after_load);
    if ((op >> 13) == 3 || top4 == 8 || top4 == 9) return transfer(top5 & 1, after_load);
    return (struct cost){1, 0, 0};
}

static struct cost wide(uint16_t a, uint16_t b, int after_load) {
    if ((a & 0xf800) == 0xf000 && (b & 0x8000)) {
        if ((b & 0x5000) == 0x5000) return (struct cost){1, m0 ? 3 : REFILL, 0};                        // bl
        if ((b & 0x5000) == 0x1000) return (struct cost){1, REFILL, 0};                                 // b.w
        if (!(b & 0x5000) && ((a >> 6) & 15) < 14) return (struct cost){1, REFILL, 0};                  // b<condition>.w
        return (struct cost){m0 ? 4 : 1, 0, 0};                                                         // msr, dmb
    }
    if ((a & 0xfff0) == 0xe8d0 && (b & 0xffe0) == 0xf000) return (struct cost){2, REFILL, 1};           // tbb, tbh
    if ((a & 0xfe40) == 0xe840) return (struct cost){3, 0, 1};                                          // ldrd, strd
    if ((a & 0xfe40) == 0xe800)                                                                         // ldm.w, stm.w
        return (struct cost){1 + registers(b), (a & 0x10) && (b & 0x8000) ? REFILL : 0, 0};
    if ((a & 0xfe00) == 0xf800) {                                                                       // ldr.w, str.w
        struct cost cost = transfer((a >> 4) & 1, after_load);
        if ((a & 0x10) && (b >> 12) == 15 && ((a >> 5) & 3) == 2) cost.taken = REFILL;
        return cost;
    }
    if ((a & 0xffd0) == 0xfb90 && (b & 0xf0) == 0xf0) return (struct cost){6, 0, 0};                    // sdiv, udiv
    return (struct cost){1, 0, 0};
}

// Thumb blocks end at every branch, so it is enough to charge whole blocks. A branch was taken when the next block does
// not start where this one ended.
struct block {
    uint64_t start, end;
    unsigned cycles, taken;
};

static const struct block *last;
static uint64_t cycles, started;

static void on_block(unsigned cpu, void *context) {
    const struct block *block = context;
    (void)cpu;
    if (last && block->start != last->end) cycles += last->taken;
    cycles += block->cycles;
    last = block;
}

static void on_start(unsigned cpu, void *context) {
    (void)cpu, (void)context;
    started = cycles;
}

static void on_stop(unsigned cpu, void *context) {
    (void)cpu, (void)context;
    fprintf(stderr, "cycles %llu ", (unsigned long long)(cycles - started));
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *translated) {
    struct block *block = calloc(1, sizeof *block);
    struct cost cost = {0, 0, 0};
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(translated); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(translated, i);
        size_t size = qemu_plugin_insn_size(instruction);
        uint16_t op[2] = {0, 0};
        memcpy(op, qemu_plugin_insn_data(instruction), size);
        if (i == 0) block->start = qemu_plugin_insn_vaddr(instruction);
        block->end = qemu_plugin_insn_vaddr(instruction) + size;
        cost = size == 2 ? narrow(op[0], cost.load) : wide(op[0], op[1], cost.load);
        block->cycles += cost.cycles;
        block->taken = cost.taken;
        if (op[0] == START) qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_start, 0, 0);
        if (op[0] == STOP) qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_stop, 0, 0);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(translated, on_block, 0, block);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    m0 = argc > 0 && !strcmp(argv[0], "core=m0");
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
