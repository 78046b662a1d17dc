// Runs a firmware on an emulated AVR, cycle by cycle: emulate-avr MCU FIRMWARE
//
// The firmware talks through two I/O registers that every megaAVR has and nothing else uses:
//   GPIOR0  1 starts counting cycles, 2 prints how many there were, 3 ends well, 4 ends badly
//   GPIOR1  one character of output
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/sim_io.h>
#include <stdio.h>

enum { GPIOR0 = 0x3e, GPIOR1 = 0x4a };
static const avr_cycle_count_t CYCLES_MAX = 4000000000ull;

static avr_cycle_count_t started;
static int status = -1;

static void on_mark(avr_t *avr, avr_io_addr_t address, uint8_t mark, void *context) {
    (void)address, (void)context;
    switch (mark) {
    case 1: started = avr->cycle; break;
    case 2: printf("cycles %llu ", (unsigned long long)(avr->cycle - started)); break;
    case 3: status = 0; break;
    case 4: status = 1; break;
    }
}

static void on_character(avr_t *avr, avr_io_addr_t address, uint8_t character, void *context) {
    (void)avr, (void)address, (void)context;
    putchar(character);
}

static void silent(avr_t *avr, const int level, const char *format, va_list arguments) {
    (void)avr, (void)level, (void)format, (void)arguments;
}

int main(int argc, char **argv) {
    elf_firmware_t firmware = {0};
    avr_global_logger_set(silent);
    if (argc != 3 || elf_read_firmware(argv[2], &firmware)) return 2;
    avr_t *avr = avr_make_mcu_by_name(argv[1]);
    if (!avr || avr_init(avr)) return 2;
    avr_load_firmware(avr, &firmware);
    avr_register_io_write(avr, GPIOR0, on_mark, 0);
    avr_register_io_write(avr, GPIOR1, on_character, 0);
    while (status < 0) {
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed || avr->cycle > CYCLES_MAX) {
            printf("\nstopped at %x after %llu cycles\n", avr->pc, (unsigned long long)avr->cycle);
            status = 1;
        }
    }
    return status;
}
