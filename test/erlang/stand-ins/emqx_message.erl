%% Stands in for EMQX's: only these functions know the record.
-module(emqx_message).

-export([make/4, make/7, id/1, qos/1, from/1, topic/1, payload/1, timestamp/1]).
-export([get_flag/2, get_flag/3, set_flag/3, get_headers/1, get_header/2, get_header/3, set_header/3]).
-export([set_qos/2, set_topic/2, to_map/1, linked/2]).

-record(message, {id, qos = 0, from, flags = #{}, headers = #{}, topic, payload, timestamp, extra = #{}}).

make(From, QoS, Topic, Payload) -> make(emqx_guid:gen(), From, QoS, Topic, Payload, #{}, #{}).

make(Id, From, QoS, Topic, Payload, Flags, Headers) ->
    #message{
        id = Id, qos = QoS, from = From, flags = Flags, headers = Headers, topic = Topic, payload = Payload,
        timestamp = erlang:system_time(millisecond)
    }.

id(#message{id = Id}) -> Id.
qos(#message{qos = QoS}) -> QoS.
from(#message{from = From}) -> From.
topic(#message{topic = Topic}) -> Topic.
payload(#message{payload = Payload}) -> Payload.
timestamp(#message{timestamp = At}) -> At.
get_flag(Flag, Message) -> get_flag(Flag, Message, false).
get_flag(Flag, #message{flags = Flags}, Default) -> maps:get(Flag, Flags, Default).
set_flag(Flag, Value, #message{flags = Flags} = Message) -> Message#message{flags = Flags#{Flag => Value}}.
get_headers(#message{headers = Headers}) -> Headers.
get_header(Name, Message) -> get_header(Name, Message, undefined).
get_header(Name, #message{headers = Headers}, Default) -> maps:get(Name, Headers, Default).
set_header(Name, Value, #message{headers = Headers} = Message) -> Message#message{headers = Headers#{Name => Value}}.
set_qos(QoS, Message) -> Message#message{qos = QoS}.
set_topic(Topic, Message) -> Message#message{topic = Topic}.
to_map(#message{id = Id, headers = Headers, extra = Extra}) -> #{id => Id, headers => Headers, extra => Extra}.

%% As Cluster Linking has it: what came from another cluster by its safe way, which knows no new atoms.
linked(Origin, #message{} = Message) ->
    #message{} = Sent = binary_to_term(term_to_binary(Message), [safe]),
    Sent#message{extra = #{link_origin => Origin}}.
