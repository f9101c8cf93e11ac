package ops

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Kinds of metrics. Soketi's counters of bytes are untyped, since their names do not
// end in _total.
const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
	untyped = prometheus.UntypedValue
)

// metric is one name on the page, with the function that reads its values.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(r *reading, emit func(value float64, labels ...string))
}

func (m metric) collect(r *reading, out chan<- prometheus.Metric) {
	m.read(r, func(value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
	})
}

// ownMetrics are those under our names. docs/operations.md explains them.
func ownMetrics() []metric {
	return []metric{
		perApp("channels_connections", "Open connections.", gauge,
			func(a appReading) float64 { return float64(a.Connections) }),
		perApp("channels_connections_opened_total", "Connections opened since the start.", counter,
			func(a appReading) float64 { return float64(a.Opened) }),
		perApp("channels_connections_closed_total", "Connections closed since the start.", counter,
			func(a appReading) float64 { return float64(a.Closed) }),
		perApp("channels_subscribed_channels", "Channels with subscribers on this node.", gauge,
			func(a appReading) float64 { return float64(a.Channels) }),
		perApp("channels_subscriptions", "Subscriptions on this node.", gauge,
			func(a appReading) float64 { return float64(a.Subscriptions) }),
		perApp("channels_held_bytes", "Bytes of events that wait for delivery.", gauge,
			func(a appReading) float64 { return float64(a.HeldBytes) }),
		perApp("channels_resumed_total", "Channels to which clients came back, and were given all that they had missed.", counter,
			func(a appReading) float64 { return float64(a.Resumed) }),
		perApp("channels_missed_total", "Channels to which clients came back, and were told that events are missing.", counter,
			func(a appReading) float64 { return float64(a.Missed) }),
		perApp("channels_replayed_events_total", "Events that clients were given which came back.", counter,
			func(a appReading) float64 { return float64(a.Replayed) }),
		perApp("channels_messages_received_total", "Messages from clients.", counter,
			func(a appReading) float64 { return float64(a.MessagesReceived) }),
		perApp("channels_messages_sent_total", "Messages to clients.", counter,
			func(a appReading) float64 { return float64(a.MessagesSent) }),
		perApp("channels_received_bytes_total", "Bytes of messages from clients.", counter,
			func(a appReading) float64 { return float64(a.BytesReceived) }),
		perApp("channels_sent_bytes_total", "Bytes of messages to clients.", counter,
			func(a appReading) float64 { return float64(a.BytesSent) }),
		perApp("channels_api_requests_total", "Authenticated requests to the REST API.", counter,
			func(a appReading) float64 { return float64(a.API.Requests) }),
		perApp("channels_api_received_bytes_total", "Bytes of the bodies of REST requests.", counter,
			func(a appReading) float64 { return float64(a.API.Received) }),
		perApp("channels_api_sent_bytes_total", "Bytes of the answers to REST requests.", counter,
			func(a appReading) float64 { return float64(a.API.Sent) }),
		perApp("channels_failed_info_lookups_total", "Publishes answered without the info that they asked for.", counter,
			func(a appReading) float64 { return float64(a.API.FailedInfos) }),
		{describe("channels_refused_publishes_total", "Events that were not published, or not known to be, by reason.", "app_id", "reason"), counter,
			func(r *reading, emit func(float64, ...string)) {
				for _, app := range r.apps {
					for why, n := range app.API.Refused {
						emit(float64(n), app.App.ID, string(why))
					}
				}
			}},
		{describe("channels_api_responses_total", "Answers of the REST API, by status.", "status"), counter,
			func(r *reading, emit func(float64, ...string)) {
				for status, n := range r.responses {
					emit(float64(n), strconv.Itoa(status))
				}
			}},
		{describe("channels_closes_total", "Connections that ended or were refused, by close code and reason.", "code", "reason"), counter,
			func(r *reading, emit func(float64, ...string)) {
				for end, n := range r.ends {
					emit(float64(n), codeLabel(end.Code), string(end.Reason))
				}
			}},
		{describe("channels_refusals_total", "What clients and publishers asked for and did not get, by kind and by the code of the answer.", "app_id", "kind", "code"), counter,
			func(r *reading, emit func(float64, ...string)) {
				for key, n := range r.refused {
					emit(float64(n), key.App, string(key.Kind), strconv.Itoa(key.Code))
				}
			}},
		{describe("channels_transport_connections", "Connections that have not ended, by what carries them.", "transport"), gauge,
			func(r *reading, emit func(float64, ...string)) {
				for transport, n := range r.carried {
					emit(float64(n), transport)
				}
			}},
		{describe("channels_forwarded_requests_total", "Requests of clients over HTTP that another node was to answer, by whether it did.", "outcome"), counter,
			func(r *reading, emit func(float64, ...string)) {
				emit(float64(r.forwarded), "done")
				emit(float64(r.orphaned), "lost")
			}},
		{describe("channels_queue_bytes", "Bytes queued for clients that read slowly."), gauge,
			func(r *reading, emit func(float64, ...string)) { emit(float64(r.queueBytes)) }},
		{describe("channels_mailbox_bytes", "Bytes of events that wait for delivery, of all apps."), gauge,
			func(r *reading, emit func(float64, ...string)) { emit(float64(r.mailboxBytes)) }},
	}
}

// soketiMetrics are those that Soketi and Sockudo have, under Soketi's names, so that
// their dashboards show this server.
func soketiMetrics() []metric {
	return []metric{
		perAppAndPort("soketi_connected", "channels_connections", gauge,
			func(a appReading) float64 { return float64(a.Connections) }),
		perAppAndPort("soketi_new_connections_total", "channels_connections_opened_total", counter,
			func(a appReading) float64 { return float64(a.Opened) }),
		perAppAndPort("soketi_new_disconnections_total", "channels_connections_closed_total", counter,
			func(a appReading) float64 { return float64(a.Closed) }),
		perAppAndPort("soketi_ws_messages_received_total", "channels_messages_received_total", counter,
			func(a appReading) float64 { return float64(a.MessagesReceived) }),
		perAppAndPort("soketi_ws_messages_sent_total", "channels_messages_sent_total", counter,
			func(a appReading) float64 { return float64(a.MessagesSent) }),
		perAppAndPort("soketi_socket_received_bytes", "channels_received_bytes_total", untyped,
			func(a appReading) float64 { return float64(a.BytesReceived) }),
		perAppAndPort("soketi_socket_transmitted_bytes", "channels_sent_bytes_total", untyped,
			func(a appReading) float64 { return float64(a.BytesSent) }),
		perAppAndPort("soketi_http_calls_received_total", "channels_api_requests_total", counter,
			func(a appReading) float64 { return float64(a.API.Requests) }),
		perAppAndPort("soketi_http_received_bytes", "channels_api_received_bytes_total", untyped,
			func(a appReading) float64 { return float64(a.API.Received) }),
		perAppAndPort("soketi_http_transmitted_bytes", "channels_api_sent_bytes_total", untyped,
			func(a appReading) float64 { return float64(a.API.Sent) }),
	}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func perApp(name, help string, kind prometheus.ValueType, of func(appReading) float64) metric {
	return metric{describe(name, help, "app_id"), kind, func(r *reading, emit func(float64, ...string)) {
		for _, app := range r.apps {
			emit(of(app), app.App.ID)
		}
	}}
}

func perAppAndPort(name, ours string, kind prometheus.ValueType, of func(appReading) float64) metric {
	return metric{describe(name, "Soketi's name for "+ours+".", "app_id", "port"), kind, func(r *reading, emit func(float64, ...string)) {
		for _, app := range r.apps {
			emit(of(app), app.App.ID, r.port)
		}
	}}
}
