// Runs a firmware on an emulated AVR, cycle by cycle: emulate-avr MCU FIRMWARE [connected]
//
// The firmware talks through two I/O registers that every megaAVR has and nothing else uses:
//   GPIOR0  1 starts counting cycles, 2 prints how many there were, 3 ends well, 4 ends badly
//   GPIOR1  one character of output
//
// With `connected` it runs as long as it is let, and no faster than the chip: its first two serial ports are the sockets
// `line` and `alarm`, its EEPROM is the file `memory`, and whatever comes to the socket `monitor` writes the RAM to `ram`.
#define _GNU_SOURCE
#include <fcntl.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/sim_io.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { EECR = 0x3f, EEDR = 0x40, EEAR = 0x41, EEPE = 1 << 1, RXC = 1 << 7, RXEN = 1 << 4, GPIOR0 = 0x3e, GPIOR1 = 0x4a, MEMORY_BYTES = 4096 };
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

// One end of a socket: a serial port, or the monitor, which has no registers.
struct socket {
    const char *name;
    char port;
    uint16_t state;  // address of UCSRnA, and UCSRnB behind it
    avr_irq_t *input;
    avr_cycle_count_t next;
    int listener, peer;
};

static struct socket line = {"line", '0', 0xc0, 0, 0, -1, -1}, alarm_ = {"alarm", '1', 0xc8, 0, 0, -1, -1},
                     monitor = {"monitor", 0, 0, 0, 0, -1, -1};
static int memory;

static int listen_at(struct socket *socket_) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, socket_->name, sizeof address.sun_path - 1);
    socket_->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    return bind(socket_->listener, (struct sockaddr *)&address, sizeof address) || listen(socket_->listener, 1);
}

// One byte, if there is one and its sender has not gone.
static int next_byte(struct socket *socket_, uint8_t *byte) {
    if (socket_->peer < 0) socket_->peer = accept4(socket_->listener, 0, 0, SOCK_NONBLOCK);
    if (socket_->peer < 0) return 0;
    ssize_t count = read(socket_->peer, byte, 1);
    if (count == 0) {
        close(socket_->peer);
        socket_->peer = -1;
    }
    return count == 1;
}

static void on_sent(avr_irq_t *irq, uint32_t byte, void *context) {
    (void)irq;
    uint8_t sent = byte;
    struct socket *socket_ = context;
    if (socket_->peer >= 0 && write(socket_->peer, &sent, 1) != 1) perror(socket_->name);
}

static int connect_port(avr_t *avr, struct socket *socket_) {
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS(socket_->port), &flags);
    socket_->input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ(socket_->port), UART_IRQ_INPUT);
    avr_irq_t *output = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ(socket_->port), UART_IRQ_OUTPUT);
    if (!socket_->input || !output) return 1;
    avr_irq_register_notify(output, on_sent, socket_);
    return listen_at(socket_);
}

// The next byte comes when the chip has taken the one before, as with a line that tells when it may send.
static void feed(avr_t *avr, struct socket *port) {
    uint8_t byte;
    int is_open = avr->data[port->state + 1] & RXEN && !(avr->data[port->state] & RXC);
    if (avr->cycle < port->next || !is_open || !next_byte(port, &byte)) return;
    avr_raise_irq(port->input, byte);
    port->next = avr->cycle + 3000;
}

// What is written to EEPROM stays, whatever happens to the emulator.
static void on_eeprom(avr_t *avr, avr_io_addr_t address, uint8_t control, void *context) {
    (void)address, (void)context;
    uint16_t at = avr->data[EEAR] | avr->data[EEAR + 1] << 8;
    if (control & EEPE && pwrite(memory, avr->data + EEDR, 1, at) != 1) perror("memory");
}

static int connect_chip(avr_t *avr) {
    uint8_t bytes[MEMORY_BYTES];
    avr_eeprom_desc_t kept = {.ee = bytes, .offset = 0, .size = sizeof bytes};
    memory = open("memory", O_RDWR);
    if (read(memory, bytes, sizeof bytes) != sizeof bytes) return 1;
    avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &kept);
    avr_register_io_write(avr, EECR, on_eeprom, 0);
    return connect_port(avr, &line) || connect_port(avr, &alarm_) || listen_at(&monitor);
}

static void show_ram(avr_t *avr) {
    uint8_t command;
    if (!next_byte(&monitor, &command)) return;
    while (next_byte(&monitor, &command)) {}
    FILE *file = fopen("ram", "w");
    if (!file) return;
    fwrite(avr->data + avr->ioend + 1, 1, avr->ramend - avr->ioend, file);
    fclose(file);
}

static void sleep_until(avr_t *avr, const struct timespec *start) {
    uint64_t nanos = avr->cycle * 1000 / (avr->frequency / 1000000) + start->tv_nsec;
    struct timespec due = {start->tv_sec + nanos / 1000000000, nanos % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, 0);
}

int main(int argc, char **argv) {
    elf_firmware_t firmware = {0};
    avr_global_logger_set(silent);
    int connected = argc == 4 && !strcmp(argv[3], "connected");
    struct timespec start;
    if ((argc != 3 && !connected) || elf_read_firmware(argv[2], &firmware)) return 2;
    avr_t *avr = avr_make_mcu_by_name(argv[1]);
    if (!avr || avr_init(avr)) return 2;
    avr_load_firmware(avr, &firmware);
    avr_register_io_write(avr, GPIOR0, on_mark, 0);
    avr_register_io_write(avr, GPIOR1, on_character, 0);
    setvbuf(stdout, 0, connected ? _IOLBF : _IOFBF, BUFSIZ);
    if (connected) avr->frequency = 16000000;
    if (connected && connect_chip(avr)) return 2;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned steps = 0; status < 0; steps++) {
        int state = avr_run(avr);
        if (connected && steps % 1024 == 0) {
            feed(avr, &line);
            feed(avr, &alarm_);
            show_ram(avr);
        }
        if (connected && steps % 65536 == 0) sleep_until(avr, &start);
        if (state == cpu_Done || state == cpu_Crashed || (!connected && avr->cycle > CYCLES_MAX)) {
            printf("\nstopped at %x after %llu cycles\n", avr->pc, (unsigned long long)avr->cycle);
            status = 1;
        }
    }
    return status;
}
