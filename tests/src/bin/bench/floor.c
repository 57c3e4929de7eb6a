// The least that counts flows at the packet hooks, to compare with: the five-tuple of a packet of IPv4, one row for it in a
// table that evicts what is oldest, two additions. No owner, no IPv6, no interface, nothing that wakes anybody, and rows
// that are lost where there are more of them. `cargo xtask bench` makes an object of it where there is a clang.

#include <linux/bpf.h>

#define SECTION(name) __attribute__((section(name), used))
#define ROWS 65536
#define IPV4_HEADER 20
#define TCP 6
#define UDP 17

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) =
    (void *)BPF_FUNC_map_update_elem;

struct flow {
    __u32 source;
    __u32 destination;
    __u16 source_port;
    __u16 destination_port;
    __u32 protocol;
};

struct moved {
    __u64 bytes;
    __u64 packets;
};

#define TABLE(name)                                                                                                    \
    struct {                                                                                                           \
        int (*type)[BPF_MAP_TYPE_LRU_HASH];                                                                            \
        int (*max_entries)[ROWS];                                                                                      \
        struct flow *key;                                                                                              \
        struct moved *value;                                                                                           \
    } name SECTION(".maps")

TABLE(sent);
TABLE(received);

static __attribute__((always_inline)) int count(struct __sk_buff *packet, void *table)
{
    __u8 *data = (__u8 *)(long)packet->data;
    if ((void *)(data + IPV4_HEADER + 4) > (void *)(long)packet->data_end || data[0] != 0x45)
        return 1;
    struct flow flow = {
        .source = *(__u32 *)(data + 12),
        .destination = *(__u32 *)(data + 16),
        .protocol = data[9],
    };
    if (flow.protocol == TCP || flow.protocol == UDP) {
        flow.source_port = *(__u16 *)(data + IPV4_HEADER);
        flow.destination_port = *(__u16 *)(data + IPV4_HEADER + 2);
    }
    struct moved *row = bpf_map_lookup_elem(table, &flow);
    if (row) {
        __sync_fetch_and_add(&row->bytes, packet->len);
        __sync_fetch_and_add(&row->packets, 1);
    } else {
        struct moved first = { .bytes = packet->len, .packets = 1 };
        bpf_map_update_elem(table, &flow, &first, BPF_ANY);
    }
    return 1;
}

SECTION("cgroup_skb/egress") int egress(struct __sk_buff *packet)
{
    return count(packet, &sent);
}

SECTION("cgroup_skb/ingress") int ingress(struct __sk_buff *packet)
{
    return count(packet, &received);
}

SECTION("license") char of_the_programs[] = "GPL";
