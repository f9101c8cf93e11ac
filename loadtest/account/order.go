package account

// OutOfOrder counts deliveries that were certainly in the wrong order. A
// publication that came after a later one was late
//
//   - against time: its answer was there before the request of the later one
//     began; or
//   - against the others: all subscribers got both, and most of them got the two
//     the other way round.
//
// Requests that overlap may be delivered in either order, if it is the same for
// all.
func (t *Tally) OutOfOrder(pubs []Publication) int64 {
	ids := index(pubs)
	var n int64
	byPublication := map[uint32]map[uint32]int64{} // ID → Highest → how many had it
	for _, l := range t.Late {
		id, highest := ids[l.Channel][l.Seq], ids[l.Channel][l.Highest]
		if !pubs[id].Measured {
			continue
		}
		if pubs[id].Outcome == Confirmed && pubs[id].Done < pubs[highest].Start {
			n += l.Count
			continue
		}
		if byPublication[id] == nil {
			byPublication[id] = map[uint32]int64{}
		}
		byPublication[id][highest] += l.Count
	}
	for id, late := range byPublication {
		n += t.disagree(id, late)
	}
	return n
}

// disagree counts the smaller party, where some subscribers got a publication
// after one that others got later. It is only certain when all got everything.
func (t *Tally) disagree(id uint32, late map[uint32]int64) int64 {
	all := t.Arrivals[id].Count
	parties := int64(0) // those that had the highest first
	highest := uint32(0)
	for h := range late {
		if h > highest { // of one channel, IDs ascend with Seq
			highest = h
		}
	}
	parties = late[highest]
	if parties == all || t.Arrivals[highest].Count != all {
		return 0
	}
	return min(parties, all-parties)
}

// index returns the IDs of publications by channel and Seq.
func index(pubs []Publication) [][]uint32 {
	var ids [][]uint32
	for id, p := range pubs {
		for int(p.Channel) >= len(ids) {
			ids = append(ids, nil)
		}
		ids[p.Channel] = append(ids[p.Channel], uint32(id))
	}
	return ids
}

// Spreads calls record with the time between the first and the last receipt of
// each measured publication that more than one received, in nanoseconds.
func (t *Tally) Spreads(pubs []Publication, record func(int64)) {
	for id, a := range t.Arrivals {
		if pubs[id].Measured && a.Count > 1 {
			record(a.Last - a.First)
		}
	}
}
