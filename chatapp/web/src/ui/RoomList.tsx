import { useState } from "react";
import { sentence } from "../api";
import type { Room } from "../model";
import { sections, unreadLabel } from "../store/rooms";
import { Avatar } from "./Avatar";
import { ConnectionState } from "./Banner";
import { useChat, useChatState } from "./context";
import { CloseIcon, GearIcon, LockIcon, Logo, PlusIcon } from "./icons";
import { InviteDialog } from "./InviteDialog";
import { NewDirectDialog, NewRoomDialog } from "./NewRoomDialog";
import { Settings } from "./Settings";

type Visit = (room: string) => void;
type Open = "room" | "direct" | "settings" | "invite" | null;

/** The left column: my rooms, my direct rooms, rooms to join, and myself. */
export function RoomList({ inert, onVisit, onClose }: { inert: boolean; onVisit: Visit; onClose: () => void }) {
  const rooms = useChatState((state) => state.rooms);
  const general = useChatState((state) => state.general);
  const me = useChatState((state) => state.me);
  const [dialog, setDialog] = useState<Open>(null);
  const mine = sections(rooms, general);
  const close = () => setDialog(null);

  return (
    <nav className="rooms column" data-testid="room-list" aria-label="Rooms" tabIndex={-1} inert={inert}>
      <header className="brand">
        <Logo /><strong>Chat</strong><ConnectionState />
        <button className="ghost narrow-only" aria-label="Close rooms" onClick={onClose}><CloseIcon /></button>
      </header>
      <div className="scroll">
        <Section title="Rooms" action="New room" onAction={() => setDialog("room")}>
          {mine.rooms.map((room) => <RoomItem key={room.id} room={room} onVisit={onVisit} />)}
        </Section>
        <Section title="Direct messages" action="New direct message" onAction={() => setDialog("direct")}>
          {mine.people.map((room) => <RoomItem key={room.id} room={room} onVisit={onVisit} />)}
        </Section>
        {rooms.others.length > 0 && (
          <Section title="More rooms">
            {rooms.others.map((room) => <OtherItem key={room.id} room={room} onVisit={onVisit} />)}
          </Section>
        )}
      </div>
      <footer className="self">
        <Avatar user={me} />
        <span className="self-name" title={me.name}>{me.name}{me.admin && <small>Admin</small>}</span>
        {me.admin && <button className="ghost" onClick={() => setDialog("invite")}>Invite</button>}
        <button className="ghost" aria-label="Settings" title="Settings" onClick={() => setDialog("settings")}><GearIcon /></button>
      </footer>
      {dialog === "room" && <NewRoomDialog onClose={close} onVisit={onVisit} />}
      {dialog === "direct" && <NewDirectDialog onClose={close} onVisit={onVisit} />}
      {dialog === "invite" && <InviteDialog onClose={close} />}
      {dialog === "settings" && <Settings onClose={close} />}
    </nav>
  );
}

type SectionProps = { title: string; action?: string; onAction?: () => void; children: React.ReactNode };

function Section({ title, action, onAction, children }: SectionProps) {
  return (
    <section className="section" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {action && <button className="ghost" aria-label={action} title={action} onClick={onAction}><PlusIcon /></button>}
      </header>
      <ul>{children}</ul>
    </section>
  );
}

/** What stands before a room's name: a hash, a lock, or the person. */
function RoomSign({ room }: { room: Room }) {
  const online = useChatState((state) => room.with !== null && (state.online.has(room.with.id) || state.here.has(room.with.id)));
  if (room.with) return <span className="with-dot"><Avatar user={room.with} small />{online && <i className="dot on" aria-hidden="true" />}</span>;
  return <span className="sign" aria-hidden="true">{room.kind === "closed" ? <LockIcon /> : "#"}</span>;
}

function RoomItem({ room, onVisit }: { room: Room; onVisit: Visit }) {
  const open = useChatState((state) => state.open?.id === room.id);
  return (
    <li>
      <button className={`room-item ${room.unread > 0 ? "has-unread" : ""}`} data-testid="room-item" data-room-id={room.id}
        aria-current={open ? "page" : undefined} onClick={() => onVisit(room.id)}>
        <RoomSign room={room} />
        <span className="room-name" title={room.name}>{room.name}</span>
        {room.unread > 0 && (
          <span className="unread" data-testid="unread" aria-label={`${unreadLabel(room.unread)} unread`}>
            {unreadLabel(room.unread)}
          </span>
        )}
      </button>
    </li>
  );
}

function OtherItem({ room, onVisit }: { room: Room; onVisit: Visit }) {
  const chat = useChat();
  const join = async () => {
    try {
      await chat.join(room.id);
      onVisit(room.id);
    } catch (problem) {
      chat.notice(sentence(problem));
    }
  };
  return (
    <li className="other-item" data-testid="other-room" data-room-id={room.id}>
      <span className="sign" aria-hidden="true">#</span>
      <span className="room-name" title={room.name}>{room.name}</span>
      <button className="ghost" aria-label={`Join ${room.name}`} onClick={() => void join()}>Join</button>
    </li>
  );
}
