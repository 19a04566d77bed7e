/* See shim.h. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <rte_flow.h>
#include <rte_lcore.h>
#include <rte_log.h>

#define BURST 64

int dpdk_eal_init(int argc, char **argv)
{
	cpu_set_t before;
	int known = sched_getaffinity(0, sizeof before, &before) == 0;
	int result = rte_eal_init(argc, argv);
	int error = rte_errno;

	if (known)
		sched_setaffinity(0, sizeof before, &before);
	rte_errno = error;
	return result;
}

int dpdk_errno(void) { return rte_errno; }

const char *dpdk_plugins(void) { return RTE_EAL_PMD_PATH; }

int dpdk_thread_known(void) { return rte_lcore_id() != LCORE_ID_ANY; }

static FILE *log_stream;
static char *log_text;
static size_t log_len;

int dpdk_log_begin(void)
{
	log_text = NULL;
	log_stream = open_memstream(&log_text, &log_len);
	return log_stream == NULL ? -1 : rte_openlog_stream(log_stream);
}

const char *dpdk_log_end(void)
{
	/* Null is DPDK's own stream. A thread of EAL that logs at this very moment may still hold
	 * ours, so it is never closed or freed: some kilobytes for each of a few calls. */
	rte_openlog_stream(NULL);
	if (log_stream != NULL)
		fflush(log_stream);
	log_stream = NULL;
	return log_text == NULL ? "" : log_text;
}

int dpdk_link(uint16_t port, uint32_t *mbps)
{
	struct rte_eth_link link;
	int error = rte_eth_link_get_nowait(port, &link);

	*mbps = error == 0 ? link.link_speed : 0;
	return error == 0 ? link.link_status : error;
}

int dpdk_steer_udp(uint16_t port, int ipv6, uint16_t udp_port, uint16_t queue, const char **why)
{
	struct rte_flow_attr attr = { .ingress = 1 };
	struct rte_flow_item_udp udp = { .hdr.dst_port = rte_cpu_to_be_16(udp_port) };
	struct rte_flow_item_udp mask = { .hdr.dst_port = 0xffff };
	struct rte_flow_item pattern[] = {
		{ .type = RTE_FLOW_ITEM_TYPE_ETH },
		{ .type = ipv6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4 },
		{ .type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &mask },
		{ .type = RTE_FLOW_ITEM_TYPE_END },
	};
	struct rte_flow_action_queue to = { .index = queue };
	struct rte_flow_action actions[] = {
		{ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};
	struct rte_flow_error error = { 0 };

	if (rte_flow_create(port, &attr, pattern, actions, &error) != NULL)
		return 0;
	*why = error.message != NULL ? error.message : rte_strerror(rte_errno);
	return -rte_errno;
}

/* Whether the buffer is one of `pool` that nobody else has, with its data in itself. */
static inline int exclusive(const struct rte_mbuf *mbuf, const struct rte_mempool *pool)
{
	return mbuf->pool == pool && rte_mbuf_refcnt_read(mbuf) == 1 && RTE_MBUF_DIRECT(mbuf) &&
	       (const char *)mbuf->buf_addr == (const char *)(mbuf + 1) + mbuf->priv_size &&
	       mbuf->data_off + mbuf->data_len <= mbuf->buf_len;
}

static inline void describe(struct rte_mbuf *mbuf, struct dpdk_segment *segment)
{
	*segment = (struct dpdk_segment){
		.mbuf = mbuf,
		.next = mbuf->next,
		.offset = mbuf->data_off,
		.len = mbuf->data_len,
		.segments = mbuf->nb_segs,
		.total = mbuf->pkt_len,
	};
}

uint16_t dpdk_receive(uint16_t port, uint16_t queue, const struct rte_mempool *pool,
		      struct dpdk_segment *heads, uint16_t max)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t count = rte_eth_rx_burst(port, queue, mbufs, RTE_MIN(max, BURST));

	for (uint16_t i = 0; i < count; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (uint16_t i = 0; i < count; i++) {
		describe(mbufs[i], &heads[i]);
		heads[i].exclusive = 1;
		for (struct rte_mbuf *m = mbufs[i]; m != NULL; m = m->next)
			heads[i].exclusive &= exclusive(m, pool);
	}
	return count;
}

void dpdk_next(struct rte_mbuf *mbuf, struct dpdk_segment *segment) { describe(mbuf, segment); }

uint16_t dpdk_send(uint16_t port, uint16_t queue, const struct dpdk_segment *segments,
		   uint16_t packets)
{
	struct rte_mbuf *heads[BURST];
	uint16_t at = 0, taken;

	packets = RTE_MIN(packets, BURST);
	for (uint16_t i = 0; i < packets; i++) {
		const struct dpdk_segment *first = &segments[at];

		heads[i] = first->mbuf;
		for (uint16_t s = 0; s < first->segments; s++, at++) {
			struct rte_mbuf *mbuf = segments[at].mbuf;

			mbuf->data_off = segments[at].offset;
			mbuf->data_len = segments[at].len;
			mbuf->nb_segs = first->segments - s;
			mbuf->next = s + 1 < first->segments ? segments[at + 1].mbuf : NULL;
			rte_mbuf_refcnt_update(mbuf, 1);
		}
		first->mbuf->pkt_len = first->total;
		first->mbuf->ol_flags = 0;
		first->mbuf->tx_offload = 0;
	}
	taken = rte_eth_tx_burst(port, queue, heads, packets);
	for (uint16_t i = taken; i < packets; i++)
		for (struct rte_mbuf *m = heads[i]; m != NULL; m = m->next)
			rte_mbuf_refcnt_update(m, -1);
	return taken;
}

uint32_t dpdk_take(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint32_t max)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, max) == 0 ? max : 0;
}

void dpdk_put(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint32_t count)
{
	uint32_t home = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_prefree_seg(mbufs[i]);

		if (mbuf != NULL)
			mbufs[home++] = mbuf;
	}
	if (home > 0)
		rte_mempool_put_bulk(pool, (void *const *)mbufs, home);
}

uint16_t dpdk_references(const struct rte_mbuf *mbuf) { return rte_mbuf_refcnt_read(mbuf); }

void dpdk_free(struct rte_mbuf *mbuf) { rte_pktmbuf_free(mbuf); }

char *dpdk_buffer(const struct rte_mbuf *mbuf, uint16_t *len)
{
	*len = mbuf->buf_len;
	return mbuf->buf_addr;
}
