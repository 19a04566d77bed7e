/* What compute-gateway calls of DPDK that is no plain function there. */
#ifndef COMPUTE_GATEWAY_DPDK_SHIM_H
#define COMPUTE_GATEWAY_DPDK_SHIM_H

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

/* Macros that bindgen cannot read. */
static const uint64_t DPDK_RX_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t DPDK_TX_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t DPDK_RSS_IP_UDP =
	RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;
static const uint32_t DPDK_MBUF_BYTES = sizeof(struct rte_mbuf);
static const uint32_t DPDK_HEADROOM = RTE_PKTMBUF_HEADROOM;

/* Starts EAL once the caller's affinity is known, and gives it back afterwards: EAL pins the thread
 * that starts it. As rte_eal_init. */
int dpdk_eal_init(int argc, char **argv);

/* The error of the last call of this thread that set one. */
int dpdk_errno(void);

/* The folder that EAL loads drivers from. */
const char *dpdk_plugins(void);

/* Collects what DPDK logs from now on, instead of showing it. 0, or -1. */
int dpdk_log_begin(void);
/* Ends that. What was logged; valid until the next begin. Never null. */
const char *dpdk_log_end(void);

/* Whether the link is up, and its speed in Mbit/s (UINT32_MAX: unknown). Negative: an error. */
int dpdk_link(uint16_t port, uint32_t *mbps);

/* Frames with this UDP destination port, over IPv4 or IPv6, go to `queue`. 0, or a negative error
 * number and what the driver says. */
int dpdk_steer_udp(uint16_t port, int ipv6, uint16_t udp_port, uint16_t queue, const char **why);

/* A buffer that holds a segment of a packet. */
struct dpdk_segment {
	struct rte_mbuf *mbuf;
	/* The following segment, or null; when sending, ignored. */
	struct rte_mbuf *next;
	/* Where the data begins, from the begin of the buffer, and its bytes. */
	uint16_t offset;
	uint16_t len;
	/* Segments of the packet, and its bytes. When sending, `segments` is 0 in all but the first. */
	uint16_t segments;
	/* Received: nobody else has a part of the packet, every buffer is of the pool asked for, and
	 * its data area the buffer's own. */
	uint16_t exclusive;
	uint32_t total;
};

/* Receives up to `max` packets: the first segment of each into `heads`. How many. */
uint16_t dpdk_receive(uint16_t port, uint16_t queue, const struct rte_mempool *pool,
		      struct dpdk_segment *heads, uint16_t max);

/* A segment after the first. */
void dpdk_next(struct rte_mbuf *mbuf, struct dpdk_segment *segment);

/* Sends `packets` packets of at most 64, whose segments follow one another in `segments`. Each
 * buffer of a packet that was taken has one reference more, until the driver is done with it. How
 * many were taken. */
uint16_t dpdk_send(uint16_t port, uint16_t queue, const struct dpdk_segment *segments,
		   uint16_t packets);

/* Buffers with one reference each. How many: `max`, or none. */
uint32_t dpdk_take(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint32_t max);

/* Gives up one reference to each buffer, not to what is chained to it. All are of `pool`. */
void dpdk_put(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint32_t count);

/* References to a buffer. */
uint16_t dpdk_references(const struct rte_mbuf *mbuf);

/* Frees a packet with all its segments. */
void dpdk_free(struct rte_mbuf *mbuf);

/* Where the data area of a buffer begins, and its bytes. */
char *dpdk_buffer(const struct rte_mbuf *mbuf, uint16_t *len);

/* The calling thread is known to EAL (has a number of its own). */
int dpdk_thread_known(void);

#endif
