//go:build linux && realnet

package realnet

import (
	"encoding/binary"
	"net/netip"
)

// TCP flags.
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
	flagFIN = 0x01
)

// A segment is what the path needs to know of a TCP packet over IPv4.
type segment struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    byte
	payload  int // its length in bytes
}

// parse takes a packet apart. It reports whether it is TCP over IPv4.
func parse(p []byte) (s segment, ok bool) {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != 6 {
		return s, false
	}
	header := int(p[0]&15) * 4
	total := int(binary.BigEndian.Uint16(p[2:]))
	if total > len(p) || total < header+20 {
		return s, false
	}
	tcp := p[header:total]
	return segment{
		src:     netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:16])), binary.BigEndian.Uint16(tcp)),
		dst:     netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:20])), binary.BigEndian.Uint16(tcp[2:])),
		seq:     binary.BigEndian.Uint32(tcp[4:]),
		ack:     binary.BigEndian.Uint32(tcp[8:]),
		flags:   tcp[13],
		payload: len(tcp) - int(tcp[12]>>4)*4,
	}, true
}

// next returns the sequence number after the segment.
func (s segment) next() uint32 {
	n := s.seq + uint32(s.payload)
	if s.flags&flagSYN != 0 {
		n++
	}
	if s.flags&flagFIN != 0 {
		n++
	}
	return n
}

// reset returns the packet of a TCP RST.
func reset(src, dst netip.AddrPort, seq uint32) []byte {
	p := make([]byte, 40)
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[8] = 64 // time to live
	p[9] = 6  // TCP
	copy(p[12:], src.Addr().AsSlice())
	copy(p[16:], dst.Addr().AsSlice())
	tcp := p[20:]
	binary.BigEndian.PutUint16(tcp, src.Port())
	binary.BigEndian.PutUint16(tcp[2:], dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	tcp[12] = 5 << 4
	tcp[13] = flagRST
	setChecksums(p)
	return p
}

// setChecksums sets the checksums of a TCP packet over IPv4.
func setChecksums(p []byte) {
	header := int(p[0]&15) * 4
	tcp := p[header:]
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p[:header])))
	tcp[16], tcp[17] = 0, 0
	pseudo := sum(p[12:20]) + 6 + uint32(len(tcp))
	binary.BigEndian.PutUint16(tcp[16:], ^fold(pseudo+sum(tcp)))
}

func sum(b []byte) (s uint32) {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
