/*
 * Copyright (c) 2026 The ovs-zoo authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

/* Network ports: DPDK's devices, with one queue each way, which the thread
 * "gateway" polls. */

#include <config.h>
#include "p4/gateway-pipeline.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_swx_pipeline.h>
#include <rte_swx_port.h>

#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "p4/gateway-private.h"
#include "p4/gateway-use.h"
#include "smap.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_ports);

#define N_DESCRIPTORS 512
/* One less than a power of two wastes least. */
#define N_BUFFERS 16383
#define N_JUMBO_BUFFERS 4095

/* Ethernet's header, two VLAN tags and checksum around an IP packet. */
#define ETHERNET_OVERHEAD 26

/* Room that headers need that grow: IPv6's instead of IPv4's, and the shim. */
#define GROWTH (GATEWAY_SHIM + 20)

struct port {
    /* Main thread.  It changes them under the mutex, with which others read
     * them. */
    bool open;
    struct gateway_port_info info;
    char *devargs;              /* For messages. */
    bool probed;                /* By gateway_port_open(). */

    /* Main thread while it is not among those that "gateway" polls, else
     * that one. */
    uint16_t id;                /* DPDK's number of the device. */
    bool attached;              /* Among 'polled'. */
    struct rte_mbuf *tx[GATEWAY_BURST]; /* Wait to be sent. */
    unsigned int n_tx;

    /* Of the thread "gateway", for all to read. */
    atomic_ullong rx_dropped;   /* Unfit. */
    atomic_ullong tx_dropped;
};

/* Guards what says so, and that a device that is in use is not closed. */
static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct port ports[ZOO_GATEWAY_N_PORTS];

/* Buffers, the second ones made when first needed. */
static struct rte_mempool *pool;
static ATOMIC(struct rte_mempool *) jumbo_pool = NULL;

/* Of the thread "gateway", or of the main thread in gateway_at_rest(). */
static unsigned int polled[ZOO_GATEWAY_N_PORTS];
static size_t n_polled;
static size_t next_polled;

/* What was received last, from one port. */
static struct {
    unsigned int port;
    struct rte_mbuf *mbufs[GATEWAY_BURST];
    size_t n, next;
} burst;

/* SWX ports. */

static void
count(atomic_ullong *counter, unsigned int n)
{
    unsigned long long int value;

    /* There is one writer. */
    atomic_read_relaxed(counter, &value);
    atomic_store_relaxed(counter, value + n);
}

/* Returns 'm', or a copy, with room around it and nobody else's.  Frees 'm'
 * and returns NULL if there is no way. */
static struct rte_mbuf *
make_fit(struct rte_mbuf *m)
{
    if (OVS_LIKELY(m->nb_segs == 1 && RTE_MBUF_DIRECT(m)
                   && rte_mbuf_refcnt_read(m) == 1
                   && rte_pktmbuf_headroom(m) >= GROWTH
                   && rte_pktmbuf_tailroom(m) >= GATEWAY_TAILROOM)) {
        return m;
    }

    struct rte_mempool *from = gateway_ports_pool(rte_pktmbuf_pkt_len(m));
    struct rte_mbuf *copy = (from ? rte_pktmbuf_copy(m, from, 0, UINT32_MAX)
                             : NULL);

    rte_pktmbuf_free(m);
    if (copy && (copy->nb_segs > 1
                 || rte_pktmbuf_tailroom(copy) < GATEWAY_TAILROOM)) {
        rte_pktmbuf_free(copy);
        return NULL;
    }
    return copy;
}

/* Polls one port, the next one at the next call. */
static bool
receive_burst(void)
{
    if (!n_polled) {
        return false;
    }
    if (next_polled >= n_polled) {
        next_polled = 0;
    }
    burst.port = polled[next_polled++];
    burst.next = 0;
    burst.n = rte_eth_rx_burst(ports[burst.port].id, 0, burst.mbufs,
                               GATEWAY_BURST);
    return burst.n > 0;
}

int
gateway_network_rx(void *port OVS_UNUSED, struct rte_swx_pkt *pkt)
{
    if (gateway_run.hold || (burst.next >= burst.n && !receive_burst())) {
        return 0;
    }
    while (burst.next < burst.n) {
        struct rte_mbuf *m = make_fit(burst.mbufs[burst.next++]);

        if (burst.next < burst.n) {
            rte_prefetch0(rte_pktmbuf_mtod(burst.mbufs[burst.next], void *));
        }
        if (!m) {
            count(&ports[burst.port].rx_dropped, 1);
            continue;
        }
        gateway_put_shim(m, burst.port);
        pkt->handle = m;
        pkt->pkt = m->buf_addr;
        pkt->offset = m->data_off - GATEWAY_SHIM;
        pkt->length = m->data_len + GATEWAY_SHIM;
        gateway_run.n_in++;
        return 1;
    }
    return 0;
}

/* Sends what waits in 'p'.  What the device does not take now goes on to wait
 * unless 'drop'. */
static void
flush(struct port *p, bool drop)
{
    unsigned int n;

    gateway_use_note(p->tx, p->n_tx);
    n = rte_eth_tx_burst(p->id, 0, p->tx, p->n_tx);

    p->n_tx -= n;
    if (p->n_tx && n) {
        memmove(p->tx, p->tx + n, p->n_tx * sizeof *p->tx);
    }
    if (p->n_tx && drop) {
        rte_pktmbuf_free_bulk(p->tx, p->n_tx);
        count(&p->tx_dropped, p->n_tx);
        p->n_tx = 0;
    }
}

void
gateway_network_tx(void *port, struct rte_swx_pkt *pkt)
{
    struct port *p = port;
    struct rte_mbuf *m = pkt->handle;

    gateway_run.n_out++;
    if (!p->attached) {
        rte_pktmbuf_free(m);
        count(&p->tx_dropped, 1);
        return;
    }
    m->data_off = pkt->offset;
    m->data_len = m->pkt_len = pkt->length;
    m->ol_flags = 0;
    p->tx[p->n_tx++] = m;
    if (p->n_tx >= GATEWAY_BURST) {
        flush(p, true);
    }
}

void *
gateway_network_port(unsigned int number)
{
    return &ports[number];
}

void
gateway_ports_flush(void)
{
    for (size_t i = 0; i < n_polled; i++) {
        struct port *p = &ports[polled[i]];

        if (p->n_tx) {
            flush(p, false);
        }
    }
}

static struct rte_mempool *
create_pool(const char *name, unsigned int n, unsigned int frame)
{
    return rte_pktmbuf_pool_create(name, n, 250, 0,
                                   RTE_PKTMBUF_HEADROOM + frame
                                   + GATEWAY_TAILROOM, SOCKET_ID_ANY);
}

char *
gateway_ports_config(struct rte_swx_pipeline *pipeline)
{
    int status;

    pool = create_pool("gateway", N_BUFFERS, GATEWAY_FRAME);
    if (!pool) {
        return xasprintf("no %d packet buffers (%s): give DPDK more memory",
                         N_BUFFERS, rte_strerror(rte_errno));
    }
    status = gateway_register_port_type(pipeline, "network",
                                        gateway_network_rx,
                                        gateway_network_tx);
    if (!status) {
        status = rte_swx_pipeline_port_in_config(
            pipeline, GATEWAY_INPUT_NETWORK, "network", ports);
    }
    for (size_t i = 0; !status && i < ZOO_GATEWAY_N_PORTS; i++) {
        if (i != ZOO_GATEWAY_CPU_PORT) {
            status = rte_swx_pipeline_port_out_config(pipeline, i, "network",
                                                      &ports[i]);
        }
    }
    return status ? xasprintf("pipeline ports (%s)", ovs_strerror(-status))
                  : NULL;
}

struct rte_mempool *
gateway_ports_pool(size_t len)
{
    struct rte_mempool *jumbo;

    if (len <= GATEWAY_FRAME) {
        return pool;
    }
    atomic_read(&jumbo_pool, &jumbo);
    return len <= GATEWAY_JUMBO_FRAME ? jumbo : NULL;
}

/* Opening and closing. */

/* Stores in 'name' of 'size' bytes the part of 'devargs' that names the
 * device, without its arguments. */
static void
device_name(const char *devargs, char *name, size_t size)
{
    ovs_strlcpy(name, devargs, MIN(size, strcspn(devargs, ",") + 1));
}

/* Finds the device 'devargs', which is made or attached if need be. */
static char *
find_device(const char *devargs, uint16_t *id, bool *probed)
{
    char name[RTE_ETH_NAME_MAX_LEN];
    struct rte_dev_iterator iterator;
    uint16_t found;

    device_name(devargs, name, sizeof name);
    *probed = false;
    if (!rte_eth_dev_get_port_by_name(name, id)) {
        return NULL;
    }

    int status = rte_dev_probe(devargs);
    if (status) {
        return xasprintf("%s: DPDK cannot open the device (%s)", devargs,
                         rte_strerror(-status));
    }
    *probed = true;
    if (!rte_eth_dev_get_port_by_name(name, id)) {
        return NULL;
    }
    RTE_ETH_FOREACH_MATCHING_DEV(found, devargs, &iterator) {
        *id = found;
        rte_eth_iterator_cleanup(&iterator);
        return NULL;
    }
    return xasprintf("%s: DPDK has opened it, but it is no Ethernet device",
                     devargs);
}

/* Returns the buffers for packets of 'mtu' bytes. */
static struct rte_mempool *
pool_for(unsigned int mtu)
{
    size_t len = mtu + ETHERNET_OVERHEAD;

    if (len > GATEWAY_FRAME && len <= GATEWAY_JUMBO_FRAME
        && !gateway_ports_pool(len)) {
        atomic_store(&jumbo_pool,
                     create_pool("gateway_jumbo", N_JUMBO_BUFFERS,
                                 GATEWAY_JUMBO_FRAME));
    }
    return gateway_ports_pool(len);
}

static char *
failed(const char *devargs, const char *what, int status)
{
    return xasprintf("%s: DPDK cannot %s (%s)", devargs, what,
                     rte_strerror(-status));
}

/* Returns the MTU of the kernel's network device that 'info' is about, 0 if it is
 * no such device.  DPDK's drivers for these know of 1500 bytes only, whatever
 * they can do. */
static unsigned int
kernel_mtu(const struct rte_eth_dev_info *info)
{
    struct ifreq ifr = { .ifr_mtu = 0 };
    unsigned int mtu = 0;
    int fd;

    if (!info->if_index || !if_indextoname(info->if_index, ifr.ifr_name)) {
        return 0;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        mtu = ioctl(fd, SIOCGIFMTU, &ifr) ? 0 : ifr.ifr_mtu;
        close(fd);
    }
    return mtu;
}

/* Sets up and starts device 'id', without offloads, with one queue each way.
 * '*mtu' is 0 for the device's own, which it is set to. */
static char *
start_device(const char *devargs, uint16_t id, unsigned int *mtu)
{
    struct rte_eth_conf conf = { .rxmode.mq_mode = RTE_ETH_MQ_RX_NONE };
    uint16_t n_rx = N_DESCRIPTORS, n_tx = N_DESCRIPTORS, own;
    struct rte_eth_dev_info info;
    int socket = rte_eth_dev_socket_id(id);
    int status;

    status = rte_eth_dev_info_get(id, &info);
    if (!status) {
        status = rte_eth_dev_get_mtu(id, &own);
    }
    if (status) {
        return failed(devargs, "describe the device", status);
    }
    unsigned int kernel = kernel_mtu(&info);
    unsigned int max = kernel ? kernel : info.max_mtu;
    if (!*mtu) {
        *mtu = kernel ? kernel : own;
    }
    if (*mtu < info.min_mtu || *mtu > max) {
        return xasprintf("%s: MTU %u is not in %u...%u%s", devargs, *mtu,
                         info.min_mtu, max,
                         kernel ? ", what the network device has" : "");
    }

    struct rte_mempool *buffers = pool_for(*mtu);
    if (!buffers) {
        return xasprintf("%s: no buffers for an MTU of %u: it is more than "
                         "%d, or DPDK has too little memory", devargs, *mtu,
                         GATEWAY_JUMBO_FRAME - ETHERNET_OVERHEAD);
    }
    conf.rxmode.mtu = (kernel ? MIN(*mtu, info.max_rx_pktlen
                                    - ETHERNET_OVERHEAD) : *mtu);
    status = rte_eth_dev_configure(id, 1, 1, &conf);
    if (!status) {
        status = rte_eth_dev_adjust_nb_rx_tx_desc(id, &n_rx, &n_tx);
    }
    if (status) {
        return xasprintf("%s: DPDK cannot configure the device with an MTU "
                         "of %u (%s)", devargs, *mtu, rte_strerror(-status));
    }
    status = rte_eth_rx_queue_setup(id, 0, n_rx, socket, NULL, buffers);
    if (!status) {
        status = rte_eth_tx_queue_setup(id, 0, n_tx, socket, NULL);
    }
    if (status) {
        return failed(devargs, "set up the queues", status);
    }
    status = kernel ? 0 : rte_eth_dev_set_mtu(id, *mtu);
    if (status && status != -ENOTSUP) {
        return failed(devargs, "set the MTU", status);
    }
    status = rte_eth_dev_start(id);
    if (status) {
        return failed(devargs, "start the device", status);
    }

    /* The pipeline takes what has the right address, whatever the device
     * filters; neighbor solicitations come to many addresses. */
    rte_eth_promiscuous_disable(id);
    rte_eth_allmulticast_enable(id);
    return NULL;
}

/* Closes device 'id', so that it can be opened again. */
static void
stop_device(const char *devargs, uint16_t id, bool probed)
{
    struct rte_eth_dev_info info;
    int status = rte_eth_dev_info_get(id, &info);

    rte_eth_dev_stop(id);
    if (probed && !status) {
        struct rte_device *device = info.device;

        rte_eth_dev_close(id);
        status = rte_dev_remove(device);
        if (status) {
            VLOG_WARN("%s: DPDK cannot remove the device (%s)", devargs,
                      rte_strerror(-status));
        }
    }
}

static void
attach(void *port_)
{
    struct port *p = port_;

    polled[n_polled++] = p - ports;
    p->attached = true;
}

static void
detach(void *port_)
{
    struct port *p = port_;
    unsigned int number = p - ports;

    for (size_t i = 0; i < n_polled; i++) {
        if (polled[i] == number) {
            polled[i] = polled[--n_polled];
            break;
        }
    }
    p->attached = false;
    flush(p, true);
    if (burst.port == number) {
        while (burst.next < burst.n) {
            rte_pktmbuf_free(burst.mbufs[burst.next++]);
        }
    }
}

static bool
is_in_use(uint16_t id)
{
    for (size_t i = 0; i < ZOO_GATEWAY_N_PORTS; i++) {
        if (ports[i].open && ports[i].id == id) {
            return true;
        }
    }
    return false;
}

char *
gateway_port_open(unsigned int port, const char *devargs, unsigned int mtu)
{
    struct port *p = &ports[port];
    struct rte_ether_addr mac;
    uint16_t id;
    char *error;
    bool probed;

    ovs_assert(port != ZOO_GATEWAY_CPU_PORT && port < ZOO_GATEWAY_N_PORTS);
    ovs_assert(!p->open);
    error = find_device(devargs, &id, &probed);
    if (error) {
        return error;
    }
    if (!probed && is_in_use(id)) {
        return xasprintf("%s: the device is another port already", devargs);
    }
    error = start_device(devargs, id, &mtu);
    if (error) {
        stop_device(devargs, id, probed);
        return error;
    }

    ovs_mutex_lock(&mutex);
    p->open = true;
    p->id = id;
    p->probed = probed;
    p->devargs = xstrdup(devargs);
    p->info.mtu = mtu;
    if (!rte_eth_macaddr_get(id, &mac)) {
        memcpy(&p->info.mac, mac.addr_bytes, sizeof p->info.mac);
    }
    atomic_store_relaxed(&p->rx_dropped, 0);
    atomic_store_relaxed(&p->tx_dropped, 0);
    ovs_mutex_unlock(&mutex);
    gateway_at_rest(attach, p);
    return NULL;
}

void
gateway_port_close(unsigned int port)
{
    struct port *p = &ports[port];

    if (!p->open) {
        return;
    }
    gateway_at_rest(detach, p);
    ovs_mutex_lock(&mutex);
    p->open = false;
    stop_device(p->devargs, p->id, p->probed);
    free(p->devargs);
    p->devargs = NULL;
    ovs_mutex_unlock(&mutex);
}

void
gateway_ports_stop(void)
{
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_PORTS; i++) {
        gateway_port_close(i);
    }
}

bool
gateway_port_is_open(unsigned int port)
{
    bool open = false;

    if (port < ZOO_GATEWAY_N_PORTS) {
        ovs_mutex_lock(&mutex);
        open = ports[port].open;
        ovs_mutex_unlock(&mutex);
    }
    return open;
}

bool
gateway_port_get_info(unsigned int port, struct gateway_port_info *info)
{
    struct port *p = &ports[port];
    bool open = false;

    if (port < ZOO_GATEWAY_N_PORTS) {
        ovs_mutex_lock(&mutex);
        open = p->open;
        if (open) {
            struct rte_eth_link link;

            *info = p->info;
            info->link_up = (!rte_eth_link_get_nowait(p->id, &link)
                             && link.link_status);
        }
        ovs_mutex_unlock(&mutex);
    }
    return open;
}

static void
add(struct smap *statistics, const char *name, unsigned long long int n)
{
    smap_add_format(statistics, name, "%llu", n);
}

void
gateway_port_get_statistics(unsigned int port, struct smap *statistics)
{
    unsigned long long int rx_dropped, tx_dropped;
    struct port *p = &ports[port];
    struct rte_eth_stats stats;

    if (port >= ZOO_GATEWAY_N_PORTS || !p->open
        || rte_eth_stats_get(p->id, &stats)) {
        return;
    }
    atomic_read_relaxed(&p->rx_dropped, &rx_dropped);
    atomic_read_relaxed(&p->tx_dropped, &tx_dropped);
    add(statistics, "rx_packets", stats.ipackets);
    add(statistics, "rx_bytes", stats.ibytes);
    add(statistics, "rx_errors", stats.ierrors);
    add(statistics, "rx_dropped", stats.imissed + stats.rx_nombuf
                                  + rx_dropped);
    add(statistics, "tx_packets", stats.opackets);
    add(statistics, "tx_bytes", stats.obytes);
    add(statistics, "tx_errors", stats.oerrors);
    add(statistics, "tx_dropped", tx_dropped);
}
